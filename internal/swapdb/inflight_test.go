package swapdb

import (
	"fmt"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/lightninglabs/loop/fsm"
	"github.com/lightninglabs/loop/instantout"
	"github.com/lightninglabs/loop/loopdb"
	"github.com/lightninglabs/loop/loopdb/sqlc"
	"github.com/lightninglabs/loop/staticaddr/deposit"
	"github.com/lightninglabs/loop/staticaddr/loopin"
	"github.com/lightningnetwork/lnd/clock"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/stretchr/testify/require"
)

// swapStates are all states of a loop-out or loop-in.
const swapStates = 14

// TestSwapsInFlight checks for each state of a swap, written by upstream's own
// store, whether a hold may stop it.
func TestSwapsInFlight(t *testing.T) {
	inFlight := map[loopdb.SwapState]bool{
		loopdb.StateInitiated:        true,
		loopdb.StatePreimageRevealed: true,
		loopdb.StateHtlcPublished:    true,
		loopdb.StateInvoiceSettled:   true,
	}
	cfg := fileConfig(t.TempDir())
	store := upstream(t, cfg)
	db := newDB(t, cfg)
	for number := range swapStates {
		state := loopdb.SwapState(number)
		hash := lntypes.Hash{byte(number + 1)}
		update := func(state loopdb.SwapState) {
			require.NoError(t, store.UpdateLoopIn(
				t.Context(), hash, time.Now(),
				loopdb.SwapStateData{State: state},
			))
		}
		writeSwap(t, store.BaseDB, hash)
		requireTask(t, db, fmt.Sprintf("swap %v (Initiated)", hash))

		update(state)
		task := ""
		if inFlight[state] {
			task = fmt.Sprintf("swap %v (%v)", hash, state)
		}
		requireTask(t, db, task)
		update(loopdb.StateSuccess)
		requireTask(t, db, "")
	}
	require.Equal(t, "Unknown", loopdb.SwapState(swapStates).String())
}

// requireTask checks what is in flight.
func requireTask(t *testing.T, db *DB, task string) {
	t.Helper()

	found, err := db.InFlight(t.Context())
	require.NoError(t, err)
	require.Equal(t, task, found)
}

// writeSwap writes a loop-in that was just begun.
func writeSwap(t *testing.T, base *loopdb.BaseDB, hash lntypes.Hash) {
	t.Helper()

	keys := testRow(t)
	contract := &loopdb.LoopInContract{
		SwapContract: loopdb.SwapContract{
			Preimage:        lntypes.Preimage(hash),
			AmountRequested: 250_000,
			InitiationTime:  time.Now(),
			HtlcKeys: loopdb.HtlcKeys{
				SenderScriptKey: [33]byte(keys.ClientPubkey.
					SerializeCompressed()),
				ReceiverScriptKey: [33]byte(keys.ServerPubkey.
					SerializeCompressed()),
			},
		},
	}
	require.NoError(t, base.CreateLoopIn(t.Context(), hash, contract))
}

// TestDepositsInFlight checks for each state of a deposit whether a hold may
// stop what is done with it.
func TestDepositsInFlight(t *testing.T) {
	settled := []fsm.StateType{
		deposit.Deposited, deposit.Withdrawn, deposit.LoopedIn,
		deposit.Expired, deposit.HtlcTimeoutSwept,
		deposit.ChannelPublished,
	}
	moving := []fsm.StateType{
		deposit.Withdrawing, deposit.OpeningChannel, deposit.LoopingIn,
		deposit.SweepHtlcTimeout, deposit.PublishExpirySweep,
		deposit.WaitForExpirySweep, "StateOfANewerUpstream",
	}

	cfg := fileConfig(t.TempDir())
	store := deposit.NewSqlStore(upstream(t, cfg).BaseDB)
	db := newDB(t, cfg)
	for i, state := range settled {
		require.NoError(t, store.CreateDeposit(
			t.Context(), testDeposit(t, uint32(i), state),
		))
		requireTask(t, db, "")
	}
	for i, state := range moving {
		row := testDeposit(t, uint32(100+i), state)
		require.NoError(t, store.CreateDeposit(t.Context(), row))
		requireTask(t, db, fmt.Sprintf("deposit %v (%v)", row.OutPoint,
			state))

		row.SetState(deposit.Withdrawn)
		require.NoError(t, store.UpdateDeposit(t.Context(), row))
		requireTask(t, db, "")
	}
}

// TestLoopInsInFlight checks for each state of a static loop-in whether a hold
// may stop it.
func TestLoopInsInFlight(t *testing.T) {
	cfg := fileConfig(t.TempDir())
	base := upstream(t, cfg).BaseDB
	now := clock.NewTestClock(time.Now())
	store := loopin.NewSqlStore(
		loopdb.NewTypedStore[loopin.Querier](base), now, cfg.Params,
	)
	db := newDB(t, cfg)

	row := testDeposit(t, 0, deposit.LoopedIn)
	require.NoError(t, deposit.NewSqlStore(base).CreateDeposit(
		t.Context(), row,
	))
	swap := testLoopIn(t, cfg, row)
	require.NoError(t, store.CreateLoopIn(t.Context(), swap))

	for i, state := range loopin.AllStates {
		now.SetTime(now.Now().Add(time.Second))
		swap.SetState(state)
		require.NoError(t, store.UpdateLoopIn(t.Context(), swap))

		task := ""
		if i < len(loopin.PendingStates) {
			task = fmt.Sprintf("static loop-in %v (%v)",
				swap.SwapHash, state)
		}
		requireTask(t, db, task)
	}
}

// testLoopIn returns a static loop-in of a deposit.
func testLoopIn(t *testing.T, cfg Config,
	row *deposit.Deposit) *loopin.StaticAddressLoopIn {

	t.Helper()

	address, err := btcutil.NewAddressTaproot(make([]byte, 32), cfg.Params)
	require.NoError(t, err)
	keys := testRow(t)
	swap := &loopin.StaticAddressLoopIn{
		SwapHash:                lntypes.Hash{0x21},
		SwapPreimage:            lntypes.Preimage{0x22},
		InitiationTime:          time.Now(),
		ClientPubkey:            keys.ClientPubkey,
		ServerPubkey:            keys.ServerPubkey,
		DepositOutpoints:        []string{row.OutPoint.String()},
		Deposits:                []*deposit.Deposit{row},
		HtlcTimeoutSweepAddress: address,
	}
	swap.SetState(loopin.InitHtlcTx)

	return swap
}

// TestInstantOutsInFlight checks that instant outs count where the embedded
// daemon knows of them, and only there: nobody else would ever finish them.
func TestInstantOutsInFlight(t *testing.T) {
	states := []fsm.StateType{
		instantout.Init, instantout.SendPaymentAndPollAccepted,
		instantout.BuildHtlc, instantout.PushPreimage,
		instantout.WaitForSweeplessSweepConfirmed,
		instantout.PublishHtlc, instantout.PublishHtlcSweep,
		instantout.WaitForHtlcSweepConfirmed,
		instantout.FailedHtlcSweep, instantout.Failed,
		instantout.FinishedHtlcPreimageSweep,
		instantout.FinishedSweeplessSweep,
	}
	const settled = 3

	cfg := fileConfig(t.TempDir())
	base := upstream(t, cfg).BaseDB
	plain := newDB(t, cfg)
	cfg.InstantOuts = true
	db := newDB(t, cfg)
	hash := lntypes.Hash{0x31}
	writeInstantOut(t, base, hash)
	requireTask(t, db, "")

	for i, state := range states {
		require.NoError(t, base.InsertInstantOutUpdate(
			t.Context(), sqlc.InsertInstantOutUpdateParams{
				SwapHash:        hash[:],
				UpdateTimestamp: time.Now(),
				UpdateState:     string(state),
			},
		))
		task := ""
		if i < len(states)-settled {
			task = fmt.Sprintf("instant out %v (%v)", hash, state)
		}
		requireTask(t, db, task)
		requireTask(t, plain, "")
	}
}

// writeInstantOut writes an instant out whose first state is not saved yet.
func writeInstantOut(t *testing.T, base *loopdb.BaseDB, hash lntypes.Hash) {
	t.Helper()

	require.NoError(t, base.InsertSwap(t.Context(), sqlc.InsertSwapParams{
		SwapHash: hash[:], Preimage: hash[:],
		InitiationTime: time.Now(),
	}))
	require.NoError(t, base.InsertHtlcKeys(
		t.Context(), sqlc.InsertHtlcKeysParams{
			SwapHash:               hash[:],
			SenderScriptPubkey:     hash[:],
			ReceiverScriptPubkey:   hash[:],
			SenderInternalPubkey:   hash[:],
			ReceiverInternalPubkey: hash[:],
		},
	))
	require.NoError(t, base.InsertInstantOut(
		t.Context(), sqlc.InsertInstantOutParams{
			SwapHash: hash[:], Preimage: hash[:],
			SweepAddress: "x", ReservationIds: hash[:],
		},
	))
}
