package lndnode

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/txscript"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"github.com/lightningnetwork/lnd/lnwallet"
	"github.com/looprecovery/looprecovery/staticaddr"
)

// maxSweepIndex bounds the indices of lnd's wallet among which the addresses of
// sweeps are looked for. Each deposit took one, and so did every other taproot
// address of the wallet.
const maxSweepIndex = 5_000

// WatchSweepAddresses makes lnd's wallet watch the addresses that the sweeps of
// the live deposits pay to, given by their output scripts. Upstream takes such
// an address from lnd when it first sees a deposit and keeps it with the
// deposit. An lnd that was rebuilt from its seed since has not derived it, and
// nothing was ever paid to it from which lnd could tell that it was used: a
// sweep would confirm and the coins would not show in the wallet.
//
// Deriving an address that was derived before the loss is what lnd would do at
// the next requests for one, so that nothing is skipped that was not used.
func (n *Node) WatchSweepAddresses(ctx context.Context,
	scripts map[string]bool) error {

	if len(scripts) == 0 {
		return nil
	}
	account, derived, err := n.taprootAccount(ctx)
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
		lnd, err := n.Services()
		if err != nil {
			return err
		}
		_, err = lnd.WalletKit.NextAddr(
			ctx, lnwallet.DefaultAccountName,
			walletrpc.AddressType_TAPROOT_PUBKEY, false,
		)
		if err != nil {
			return callError("NextAddr", err)
		}
	}

	return nil
}

// taprootAccount returns the extended public key of the account that lnd's
// taproot addresses are of, and how many of them lnd has derived.
func (n *Node) taprootAccount(ctx context.Context) (*hdkeychain.ExtendedKey,
	uint32, error) {

	accounts, err := n.accounts(ctx)
	if err != nil {
		return nil, 0, err
	}
	account, err := findTaproot(accounts)
	if err != nil {
		return nil, 0, err
	}
	key, err := staticaddr.ParseAccount(
		account.ExtendedPublicKey, n.params,
	)
	if err != nil {
		return nil, 0, fmt.Errorf("taproot account: %w", err)
	}

	return key, account.ExternalKeyCount, nil
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
