package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/loop/looprpc"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
)

const (
	// maxSweepBlocks bounds the blocks that are mined beyond the expiry
	// until every sweep is on its way.
	maxSweepBlocks = 20

	// sweepPatience is how long the daemon has for a sweep after each of
	// them.
	sweepPatience = 3 * time.Second
)

// deposits returns what upstream's own RPC lists.
func (d *demo) deposits(ctx context.Context) ([]*looprpc.Deposit, error) {
	var deposits []*looprpc.Deposit
	err := d.loopd.Swap(func(client looprpc.SwapClientClient) error {
		resp, err := client.ListStaticAddressDeposits(
			ctx, &looprpc.ListStaticAddressDepositsRequest{},
		)
		if err == nil {
			deposits = resp.FilteredDeposits
		}

		return err
	})

	return deposits, err
}

// waitDeposits waits until upstream's own RPC lists exactly the given outputs
// as confirmed deposits that can be spent, besides any that are settled, and
// returns them in this order.
func (d *demo) waitDeposits(ctx context.Context, want []wire.OutPoint) (
	[]*looprpc.Deposit, error) {

	var found []*looprpc.Deposit
	err := regtest.Eventually(ctx, "the deposits to be listed",
		regtest.DefaultTimeout, func(ctx context.Context) error {
			all, err := d.deposits(ctx)
			if err != nil {
				return err
			}
			found, err = match(all, want)

			return err
		})

	return found, err
}

// match picks the wanted outputs from a list. Any other spendable deposit in
// the list, or one of the wanted twice, is an error.
func match(all []*looprpc.Deposit, want []wire.OutPoint) ([]*looprpc.Deposit,
	error) {

	live := slices.DeleteFunc(slices.Clone(all),
		func(deposit *looprpc.Deposit) bool {
			return deposit.State == looprpc.DepositState_EXPIRED ||
				deposit.ConfirmationHeight <= 0
		})
	if len(live) != len(want) {
		return nil, fmt.Errorf("%d are listed, not %d", len(live),
			len(want))
	}

	found := make([]*looprpc.Deposit, len(want))
	for i, outpoint := range want {
		at := slices.IndexFunc(live, func(d *looprpc.Deposit) bool {
			return d.Outpoint == outpoint.String()
		})
		if at < 0 {
			return nil, fmt.Errorf("%v is not listed", outpoint)
		}
		found[i] = live[at]
	}

	return found, nil
}

// sweep is the result of waiting for deposits to be swept.
type sweep struct {
	// txs are the transactions that spend the deposits, each once.
	txs map[chainhash.Hash]*wire.MsgTx

	// received is what they pay to the wallet.
	received btcutil.Amount
}

// waitSwept mines to the expiry of the last deposit, waits until the embedded
// daemon has published a sweep of every one, and confirms them. It checks that
// the wallet gains exactly what the sweeps pay.
func (d *demo) waitSwept(ctx context.Context, deposits []wire.OutPoint,
	lastHeight int32) (*sweep, error) {

	before, err := d.network.Client.Balance(ctx)
	if err != nil {
		return nil, err
	}
	tip, err := d.network.Btcd.Height()
	if err != nil {
		return nil, err
	}
	first := tip + 1

	missing := lastHeight + int32(d.network.Swap.Expiry()) - tip
	if missing > 0 {
		_, err := d.network.Mine(ctx, uint32(missing))
		if err != nil {
			return nil, err
		}
	}
	d.say("mined to block %d, %d blocks after the last deposit",
		max(tip, tip+missing), d.network.Swap.Expiry())

	swept, err := d.mineUntilSpent(ctx, deposits, first)
	if err != nil {
		return nil, err
	}
	if _, err := d.network.Mine(ctx, 1); err != nil {
		return nil, err
	}

	return swept, d.waitGain(ctx, before, swept.received)
}

// mineUntilSpent mines block by block until every deposit is spent, in the
// mempool or in a block from the given height on.
func (d *demo) mineUntilSpent(ctx context.Context, deposits []wire.OutPoint,
	from int32) (*sweep, error) {

	var swept *sweep
	for range maxSweepBlocks {
		err := regtest.Eventually(ctx, "the sweeps", sweepPatience,
			func(context.Context) error {
				var err error
				swept, err = d.findSweeps(deposits, from)

				return err
			})
		if err == nil {
			return swept, nil
		}
		if !errors.Is(err, errUnspent) {
			return nil, err
		}
		if _, err := d.network.Mine(ctx, 1); err != nil {
			return nil, err
		}
	}

	return nil, fmt.Errorf("%d blocks after the expiry: %w",
		maxSweepBlocks, errUnspent)
}

// errUnspent is returned while a deposit is not swept.
var errUnspent = errors.New("not every deposit is swept")

// findSweeps returns the transactions that spend the deposits, or errUnspent.
func (d *demo) findSweeps(deposits []wire.OutPoint, from int32) (*sweep,
	error) {

	swept := &sweep{txs: make(map[chainhash.Hash]*wire.MsgTx)}
	for _, deposit := range deposits {
		tx, err := d.network.Btcd.Spender(deposit, from)
		if err != nil {
			return nil, err
		}
		if tx == nil {
			return nil, errUnspent
		}
		swept.txs[tx.TxHash()] = tx
	}
	for _, tx := range swept.txs {
		for _, out := range tx.TxOut {
			swept.received += btcutil.Amount(out.Value)
		}
	}

	return swept, nil
}

// waitGain waits until the client's wallet has gained exactly the amount.
func (d *demo) waitGain(ctx context.Context, before,
	gain btcutil.Amount) error {

	return regtest.Eventually(ctx, "the wallet's gain",
		regtest.DefaultTimeout, func(ctx context.Context) error {
			now, err := d.network.Client.Balance(ctx)
			if err != nil {
				return err
			}
			if now-before != gain {
				return fmt.Errorf("it gained %v of %v",
					now-before, gain)
			}

			return nil
		})
}

// seenByLnd returns how many of the deposits the client's lnd itself lists.
func (d *demo) seenByLnd(ctx context.Context, deposits []wire.OutPoint) (int,
	error) {

	conn, err := d.network.Client.Conn()
	if err != nil {
		return 0, err
	}
	resp, err := walletrpc.NewWalletKitClient(conn).ListUnspent(
		ctx, &walletrpc.ListUnspentRequest{MaxConfs: math.MaxInt32},
	)
	if err != nil {
		return 0, err
	}

	seen := 0
	for _, utxo := range resp.Utxos {
		for _, deposit := range deposits {
			if utxo.Outpoint.TxidStr == deposit.Hash.String() &&
				utxo.Outpoint.OutputIndex == deposit.Index {

				seen++
			}
		}
	}

	return seen, nil
}
