package loopd

import (
	"context"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/txscript"
	"github.com/lightninglabs/lndclient"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"github.com/lightningnetwork/lnd/lnwallet"
	"github.com/looprecovery/looprecovery/staticaddr"
)

// maxSweepIndex bounds the indices of lnd's wallet among which the addresses of
// sweeps are looked for. Each deposit took one, and so did every other taproot
// address of the wallet.
const maxSweepIndex = 5_000

// errNoTaprootAccount means that lnd does not list the account that its
// taproot addresses are of.
var errNoTaprootAccount = errors.New("lnd lists no taproot account")

// watchSweepAddresses makes lnd's wallet watch the addresses that the sweeps of
// the live deposits pay to. Upstream takes such an address from lnd when it
// first sees a deposit and keeps it with the deposit. An lnd that was rebuilt
// from its seed since has not derived it, and nothing was ever paid to it from
// which lnd could tell that it was used: a sweep would confirm and the coins
// would not show in the wallet.
//
// Deriving an address that was derived before the loss is what lnd would do at
// the next requests for one, so that nothing is skipped that was not used.
func (d *Daemon) watchSweepAddresses(ctx context.Context) error {
	if !d.view.Status().AnyBlind() {
		return nil
	}
	scripts, err := d.database.SweepScripts(ctx)
	if err != nil || len(scripts) == 0 {
		return err
	}
	lnd, err := d.node.get()
	if err != nil {
		return err
	}
	account, derived, err := taprootAccount(ctx, lnd, d.params)
	if err != nil {
		return err
	}

	next, missing, err := findSweepScripts(account, scripts)
	if err != nil {
		return err
	}
	if missing > 0 {
		log.Warnf("%d deposits will be swept to addresses that are "+
			"none of the first %d of lnd's wallet", missing,
			maxSweepIndex)
	}
	for ; derived < next; derived++ {
		_, err := lnd.WalletKit.NextAddr(
			ctx, lnwallet.DefaultAccountName,
			walletrpc.AddressType_TAPROOT_PUBKEY, false,
		)
		if err != nil {
			return err
		}
	}

	return nil
}

// taprootAccount returns the extended public key of the account that lnd's
// taproot addresses are of, and how many of them lnd has derived.
func taprootAccount(ctx context.Context, lnd *lndclient.GrpcLndServices,
	params *chaincfg.Params) (*hdkeychain.ExtendedKey, uint32, error) {

	accounts, err := lnd.WalletKit.ListAccounts(
		ctx, lnwallet.DefaultAccountName,
		walletrpc.AddressType_TAPROOT_PUBKEY,
	)
	if err != nil {
		return nil, 0, err
	}
	if len(accounts) != 1 {
		return nil, 0, errNoTaprootAccount
	}
	key, err := staticaddr.ParseAccount(
		accounts[0].ExtendedPublicKey, params,
	)
	if err != nil {
		return nil, 0, fmt.Errorf("taproot account: %w", err)
	}

	return key, accounts[0].ExternalKeyCount, nil
}

// findSweepScripts returns the index after the highest one of an account's
// external addresses that is among the scripts, and how many of the scripts are
// none of its first addresses.
func findSweepScripts(account *hdkeychain.ExtendedKey,
	scripts map[string]bool) (next uint32, missing int, err error) {

	missing = len(scripts)
	for index := range uint32(maxSweepIndex) {
		if missing == 0 {
			break
		}
		script, err := taprootScript(account, index)
		if err != nil {
			return 0, 0, err
		}
		if scripts[string(script)] {
			next = index + 1
			missing--
		}
	}

	return next, missing, nil
}

// taprootScript returns the output script of an external address of a taproot
// account: the key alone, without a script tree (BIP 86).
func taprootScript(account *hdkeychain.ExtendedKey, index uint32) ([]byte,
	error) {

	key, err := staticaddr.ChildKey(account, index)
	if err != nil {
		return nil, err
	}

	output := txscript.ComputeTaprootKeyNoScript(key)

	return txscript.PayToTaprootScript(output)
}
