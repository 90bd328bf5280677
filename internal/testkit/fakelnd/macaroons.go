package fakelnd

import (
	"context"
	"errors"
	"fmt"

	"github.com/lightningnetwork/lnd/macaroons"
	"gopkg.in/macaroon-bakery.v2/bakery"
)

// The operations that a method can ask for.
var (
	infoRead     = bakery.Op{Entity: "info", Action: "read"}
	onchainRead  = bakery.Op{Entity: "onchain", Action: "read"}
	onchainWrite = bakery.Op{Entity: "onchain", Action: "write"}
	addressRead  = bakery.Op{Entity: "address", Action: "read"}
	signerUse    = bakery.Op{Entity: "signer", Action: "generate"}
)

// permissions are what the methods ask for, as in lnd.
var permissions = map[string]bakery.Op{
	"/lnrpc.Lightning/GetInfo":             infoRead,
	"/lnrpc.Lightning/ListPermissions":     infoRead,
	"/verrpc.Versioner/GetVersion":         infoRead,
	"/walletrpc.WalletKit/ListAccounts":    onchainRead,
	"/walletrpc.WalletKit/ImportTapscript": onchainWrite,
	"/walletrpc.WalletKit/DeriveKey":       addressRead,
	"/walletrpc.WalletKit/DeriveNextKey":   addressRead,
	"/walletrpc.WalletKit/NextAddr":        addressRead,
	"/signrpc.Signer/DeriveSharedKey":      signerUse,
	"/chainrpc.ChainKit/GetBlockHash":      onchainRead,
	"/chainrpc.ChainKit/GetBestBlock":      onchainRead,
	"/chainrpc.ChainKit/GetBlockHeader":    onchainRead,

	"/chainrpc.ChainNotifier/RegisterBlockEpochNtfn": onchainRead,
}

// rootKeyID is the id of the one root key.
var rootKeyID = []byte("0")

// rootKey is a store of one root key.
type rootKey string

// Get implements bakery.RootKeyStore.
func (k rootKey) Get(_ context.Context, id []byte) ([]byte, error) {
	if string(id) != string(rootKeyID) {
		return nil, bakery.ErrNotFound
	}

	return []byte(k), nil
}

// RootKey implements bakery.RootKeyStore.
func (k rootKey) RootKey(context.Context) ([]byte, []byte, error) {
	return []byte(k), rootKeyID, nil
}

// service returns what makes and checks macaroons.
func (l *Lnd) service() (*macaroons.Service, error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	return macaroons.NewService(
		l.secret, "lnd", false, macaroons.IPLockChecker,
	)
}

// Bake replaces the macaroon by one for some operations.
func (l *Lnd) Bake(ops ...bakery.Op) error {
	service, err := l.service()
	if err != nil {
		return err
	}
	baked, err := service.NewMacaroon(
		context.Background(), rootKeyID, ops...,
	)
	if err != nil {
		return err
	}
	content, err := baked.M().MarshalBinary()
	if err != nil {
		return err
	}

	return l.writeMacaroon(content)
}

// Revoke makes every macaroon invalid that was baked before.
func (l *Lnd) Revoke() {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.secret += "'"
}

// authorize checks the macaroon of a call.
func (l *Lnd) authorize(ctx context.Context, method string) error {
	op, ok := permissions[method]
	if !ok {
		return fmt.Errorf("%s: unknown permissions required for method",
			method)
	}
	service, err := l.service()
	if err != nil {
		return err
	}
	err = service.ValidateMacaroon(ctx, []bakery.Op{op}, method)
	if err != nil {
		// Without a code, as from lnd.
		return errors.New(err.Error())
	}

	return nil
}
