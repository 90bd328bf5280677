package loopd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/btcsuite/btcwallet/snacl"
	"github.com/btcsuite/btcwallet/walletdb"
	"github.com/lightninglabs/lndclient"
	"github.com/lightningnetwork/lnd/macaroons"
	"github.com/looprecovery/looprecovery/states"
	bbolterrors "go.etcd.io/bbolt/errors"
	"gopkg.in/macaroon-bakery.v2/bakery"
	"gopkg.in/macaroon.v2"
)

// damagedFiles are the errors of a file that is not what its name says, however
// often it is opened.
var damagedFiles = []error{
	walletdb.ErrInvalid, bbolterrors.ErrInvalid,
	bbolterrors.ErrVersionMismatch, bbolterrors.ErrChecksum,
	fs.ErrPermission, syscall.EISDIR,
}

// openError types an error of opening the macaroon store.
func openError(path string, err error) error {
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return &states.TransientError{
			Reason: states.Standby,
			Detail: path + " is open in another loopd", Err: err,
		}
	}
	for _, damaged := range damagedFiles {
		if errors.Is(err, damaged) {
			return macaroonsDamaged(path, err)
		}
	}

	return fmt.Errorf("macaroon store %s: %w", path, err)
}

// macaroonsDamaged returns the error of a file that somebody has to restore or
// to move away.
func macaroonsDamaged(path string, err error) error {
	return &states.PermanentError{
		Reason: states.MacaroonsDamaged, Detail: path, Err: err,
	}
}

// checkMacaroon returns nil if a macaroon file can be read, or is missing: then
// it is made.
func checkMacaroon(path string) error {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		var parsed macaroon.Macaroon
		err = parsed.UnmarshalBinary(content)
	}
	if err != nil {
		return macaroonsDamaged(path, err)
	}

	return nil
}

// unlockError types an error of unlocking the macaroon store, which reaches us
// as text: it tries the passwords itself that lndclient tries.
func unlockError(ctx context.Context, path string, store bakery.RootKeyStore,
	lnd *lndclient.LndServices, err error) error {

	keys, ok := store.(*macaroons.RootKeyStorage)
	if !ok {
		return err
	}
	shared, sharedErr := lnd.Signer.DeriveSharedKey(
		ctx, lndclient.SharedKeyNUMS, lndclient.SharedKeyLocator,
	)
	if sharedErr != nil {
		return fmt.Errorf("macaroon store: lnd's DeriveSharedKey: %w",
			sharedErr)
	}
	for _, password := range [][]byte{shared[:], {}} {
		tried := keys.CreateUnlock(&password)
		switch {
		case tried == nil && len(password) == 0:
			// It opens, but cannot be given lnd's key.
			return errors.Join(
				macaroonsDamaged(path, err), keys.Close(),
			)

		case tried == nil:
			return errors.Join(
				fmt.Errorf("macaroon store: %w", err),
				keys.Close(),
			)

		case !errors.Is(tried, snacl.ErrInvalidPassword):
			return macaroonsDamaged(path, tried)
		}
	}

	return &states.PermanentError{
		Reason: states.WrongLnd,
		Detail: path + " was made with another lnd", Err: err,
	}
}
