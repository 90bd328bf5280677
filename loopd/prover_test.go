package loopd

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/lndview"
	"github.com/stretchr/testify/require"
)

// liveRows are the deposits of a database, or an error. hook, if set, is called
// first.
type liveRows struct {
	deposits []lndview.Deposit
	err      error
	hook     func()
}

// LiveDeposits implements lndview.Rows.
func (r *liveRows) LiveDeposits(context.Context) ([]lndview.Deposit, error) {
	if r.hook != nil {
		r.hook()
	}

	return r.deposits, r.err
}

// TestProofIsNotQuiet checks that a user is warned while what lnd's wallet
// knows cannot be asked, or has to be asked again: it may have been rebuilt
// since it knew everything.
func TestProofIsNotQuiet(t *testing.T) {
	rows := &liveRows{}
	view, err := lndview.New(t.Context(), lndview.Config{
		Ledger: lndview.NewMemoryLedger(), Rows: rows,
		Chain: noChain{}, Params: &chaincfg.RegressionNetParams,
	})
	require.NoError(t, err)
	d := &Daemon{view: view}
	d.prover = d.newProver()
	require.NoError(t, view.InPlace(t.Context(), [][]byte{{0x51}}))
	quiet := func() bool {
		quiet, err := d.prover.isQuiet(t.Context())
		require.Equal(t, rows.err, errors.Unwrap(err))

		return quiet
	}

	require.True(t, quiet())
	walk, cancel, err := d.prover.look(t.Context())
	require.NoError(t, err)
	defer cancel()
	require.Empty(t, d.blindNotices())

	// The polite walk under way ends, and what it still tells of itself
	// quiets nothing.
	d.prover.doubt()
	require.ErrorIs(t, walk.Err(), context.Canceled)
	d.prover.now.Store(&proof{quiet: true, height: 7})
	require.Len(t, d.blindNotices(), 1)

	// A doubt that came while lnd was asked counts.
	rows.hook = d.prover.doubt
	walk, cancel, err = d.prover.look(t.Context())
	require.NoError(t, err)
	defer cancel()
	require.ErrorIs(t, walk.Err(), context.Canceled)
	require.Len(t, d.blindNotices(), 1)
	rows.hook = nil

	rows.err = errors.New("down")
	require.False(t, quiet())
	rows.err, rows.deposits = nil, []lndview.Deposit{{Value: 1}}
	require.False(t, quiet())
}

// noChain is a source that is not asked.
type noChain struct {
	chainscan.Source
}

// TestProofIsTold checks what the status says while the chain is searched: how
// far that has come and how long it takes, or which block is not to be had.
func TestProofIsTold(t *testing.T) {
	walking := proof{height: 2_000, tip: 12_000}
	require.Empty(t, proof{}.String())
	require.Equal(t, "; searched up to block 2000 of 12000",
		walking.String())

	walking.estimate(1_000, 10*time.Second)
	require.Equal(t, "; searched up to block 2000 of 12000, about 1m40s "+
		"left", walking.String())

	// Nothing was walked, so that nothing is known.
	resting := proof{height: 2_000, tip: 12_000}
	resting.estimate(2_000, time.Second)
	require.Zero(t, resting.left)

	walking.err = &chainscan.UnavailableError{
		Block: chainscan.BlockStamp{
			Height: 2_001, Hash: chainhash.Hash{1},
		},
		Err: chainscan.ErrUnavailable,
	}
	require.Contains(t, walking.String(), "does not have block 2001")
}
