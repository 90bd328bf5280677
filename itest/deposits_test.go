package itest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/loop/looprpc"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/stretchr/testify/require"
)

const (
	// withdrawFeeRate is the fee rate of withdrawals, in sat per vbyte.
	withdrawFeeRate = 5

	// withdrawConfs is the number of confirmations after which upstream
	// takes a withdrawal for done (withdraw.MinConfs).
	withdrawConfs = 3

	// sweepConfs is the number of confirmations after which upstream takes
	// a deposit for expired (deposit.DefaultConfTarget).
	sweepConfs = 3

	// maxSweepBlocks bounds the blocks that are mined beyond the expiry
	// until every sweep is on its way.
	maxSweepBlocks = 20

	// sweepPatience is how long the daemon has for a sweep after each of
	// them.
	sweepPatience = 3 * time.Second
)

// deposit is an output at a static address, in a block.
type deposit struct {
	outpoint wire.OutPoint
	value    btcutil.Amount
	height   int32
}

// pay pays to the address and puts each payment into a block of its own.
func (s *story) pay(address string, values ...btcutil.Amount) []deposit {
	s.Helper()

	var deposits []deposit
	for _, value := range values {
		outpoint, err := s.Btcd.Fund(address, value)
		require.NoError(s, err)
		height, err := s.Mine(s.Context(), 1)
		require.NoError(s, err)
		deposits = append(deposits, deposit{*outpoint, value, height})
	}

	return deposits
}

// listDeposits returns the deposits that upstream's own RPC lists and that are
// not at their end.
func listDeposits(ctx context.Context, loopd *regtest.Loopd) (
	[]*looprpc.Deposit, error) {

	var deposits []*looprpc.Deposit
	err := loopd.Swap(func(client looprpc.SwapClientClient) error {
		resp, err := client.ListStaticAddressDeposits(
			ctx, &looprpc.ListStaticAddressDepositsRequest{},
		)
		if err == nil {
			deposits = slices.DeleteFunc(
				resp.FilteredDeposits, settled,
			)
		}

		return err
	})

	return deposits, err
}

// settled reports whether a deposit is at its end.
func settled(deposit *looprpc.Deposit) bool {
	switch deposit.State {
	case looprpc.DepositState_EXPIRED, looprpc.DepositState_WITHDRAWN:
		return true

	default:
		return false
	}
}

// waitDeposits waits until upstream's own RPC lists exactly the given deposits,
// with their values and heights, as ones that can be spent.
func (s *story) waitDeposits(loopd *regtest.Loopd, want ...deposit) {
	s.Helper()

	wanted := make([]string, 0, len(want))
	for _, d := range want {
		wanted = append(wanted, depositLine(
			d.outpoint.String(), int64(d.value), int64(d.height),
			looprpc.DepositState_DEPOSITED,
		))
	}
	slices.Sort(wanted)

	err := regtest.Eventually(s.Context(), "the deposits to be listed",
		regtest.DefaultTimeout, func(ctx context.Context) error {
			listed, err := listDeposits(ctx, loopd)
			if err != nil {
				return err
			}
			lines := make([]string, 0, len(listed))
			for _, d := range listed {
				lines = append(lines, depositLine(
					d.Outpoint, d.Value,
					d.ConfirmationHeight, d.State,
				))
			}
			slices.Sort(lines)
			if !slices.Equal(lines, wanted) {
				return fmt.Errorf("listed are %v, wanted %v",
					lines, wanted)
			}

			return nil
		})
	require.NoError(s, err)
}

// waitRestored is waitDeposits after a restore. Upstream looks for deposits
// with every block and else every ten seconds; the story does not wait for
// these.
func (s *story) waitRestored(loopd *regtest.Loopd, want ...deposit) {
	s.Helper()

	_, err := s.Mine(s.Context(), 1)
	require.NoError(s, err)
	s.waitDeposits(loopd, want...)
}

// depositLine renders what is compared of a deposit.
func depositLine(outpoint string, value, height int64,
	state looprpc.DepositState) string {

	return fmt.Sprintf("%s: %d sat at %d, %v", outpoint, value, height,
		state)
}

// withdrawRequest asks for the whole of a deposit.
func withdrawRequest(d deposit) *looprpc.WithdrawDepositsRequest {
	return &looprpc.WithdrawDepositsRequest{
		Outpoints: []*lnrpc.OutPoint{{
			TxidStr:     d.outpoint.Hash.String(),
			OutputIndex: d.outpoint.Index,
		}},
		SatPerVbyte: withdrawFeeRate,
	}
}

// withdraw spends a deposit together with the server, to lnd's wallet, and
// confirms the spend as often as upstream waits for. It returns the transaction
// and the height of its block.
func (s *story) withdraw(loopd *regtest.Loopd, d deposit) (chainhash.Hash,
	int32) {

	s.Helper()

	return s.withdrawTo(loopd, d, "")
}

// withdrawTo is withdraw to an address; if that is empty, to lnd's wallet.
func (s *story) withdrawTo(loopd *regtest.Loopd, d deposit,
	address string) (chainhash.Hash, int32) {

	s.Helper()

	txid := s.publishWithdrawal(loopd, d, address)

	return txid, s.confirmWithdrawal(txid)
}

// publishWithdrawal spends a deposit together with the server and returns the
// transaction, which is in no block.
func (s *story) publishWithdrawal(loopd *regtest.Loopd, d deposit,
	address string) chainhash.Hash {

	s.Helper()

	request := withdrawRequest(d)
	request.DestAddr = address
	var txid string
	s.swap(loopd, func(ctx context.Context,
		client looprpc.SwapClientClient) error {

		resp, err := client.WithdrawDeposits(ctx, request)
		if err == nil {
			txid = resp.WithdrawalTxHash
		}

		return err
	})
	hash, err := chainhash.NewHashFromStr(txid)
	require.NoError(s, err)
	require.NoError(s, s.Btcd.WaitMempool(s.Context(), *hash))

	return *hash
}

// confirmWithdrawal confirms a spend as often as upstream waits for, and
// returns the height of its block.
func (s *story) confirmWithdrawal(txid chainhash.Hash) int32 {
	s.Helper()

	require.NoError(s, s.Btcd.WaitMempool(s.Context(), txid))
	height, err := s.Mine(s.Context(), 1)
	require.NoError(s, err)
	s.mineOneByOne(withdrawConfs - 1)

	return height
}

// waitSwept mines to the expiry of the deposits, waits until the embedded
// daemon has published a sweep of each, confirms the sweeps, and checks that
// lnd's wallet gains exactly what they pay.
func (s *story) waitSwept(lnd *regtest.Lnd, deposits ...deposit) {
	s.Helper()
	ctx := s.Context()

	before, err := lnd.Balance(ctx)
	require.NoError(s, err)
	tip, err := s.Btcd.Height()
	require.NoError(s, err)
	var last int32
	for _, d := range deposits {
		last = max(last, d.height)
	}
	s.mineOneByOne(last + int32(s.Swap.Expiry()) - tip)

	var received btcutil.Amount
	for txid, tx := range s.waitSweeps(deposits, tip+1) {
		for _, out := range tx.TxOut {
			received += btcutil.Amount(out.Value)
		}
		s.Logf("swept by %v", txid)
	}
	s.mineOneByOne(sweepConfs)
	s.waitGain(lnd, before, received)
}

// mineOneByOne mines blocks that every lnd sees one after the other, as blocks
// come in life. With a burst of them upstream stores wrong heights and
// publishes a sweep dozens of times at once, into the block that confirms it.
func (s *story) mineOneByOne(blocks int32) {
	s.Helper()

	for range blocks {
		_, err := s.Mine(s.Context(), 1)
		require.NoError(s, err)
	}
}

// errUnspent is returned while a deposit is not swept.
var errUnspent = errors.New("it is unspent")

// waitSweeps returns the transactions that spend the deposits. Upstream tries
// again with each block, so that further ones are mined while one is missing.
func (s *story) waitSweeps(deposits []deposit,
	from int32) map[chainhash.Hash]*wire.MsgTx {

	s.Helper()

	var sweeps map[chainhash.Hash]*wire.MsgTx
	for range maxSweepBlocks {
		err := regtest.Eventually(s.Context(), "the sweeps",
			sweepPatience, func(context.Context) error {
				var err error
				sweeps, err = s.findSweeps(deposits, from)

				return err
			})
		if err == nil {
			return sweeps
		}
		require.ErrorIs(s, err, errUnspent)
		_, err = s.Mine(s.Context(), 1)
		require.NoError(s, err)
	}
	require.Fail(s, "the deposits were not swept", "%d blocks after the "+
		"expiry", maxSweepBlocks)

	return nil
}

// findSweeps returns the transactions that spend the deposits.
func (s *story) findSweeps(deposits []deposit, from int32) (
	map[chainhash.Hash]*wire.MsgTx, error) {

	sweeps := make(map[chainhash.Hash]*wire.MsgTx)
	for _, d := range deposits {
		tx, err := s.Btcd.Spender(d.outpoint, from)
		if err != nil {
			return nil, err
		}
		if tx == nil {
			return nil, fmt.Errorf("%v: %w", d.outpoint, errUnspent)
		}
		sweeps[tx.TxHash()] = tx
	}

	return sweeps, nil
}

// waitGain waits until an lnd's wallet has gained exactly the amount.
func (s *story) waitGain(lnd *regtest.Lnd, before, gain btcutil.Amount) {
	s.Helper()

	err := regtest.Eventually(s.Context(), "the wallet's gain",
		regtest.DefaultTimeout, func(ctx context.Context) error {
			now, err := lnd.Balance(ctx)
			if err == nil && now-before != gain {
				err = fmt.Errorf("it gained %v of %v",
					now-before, gain)
			}

			return err
		})
	require.NoError(s, err)
}
