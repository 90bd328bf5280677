package actions_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// otherAccounts is an lnd whose accounts are not those of its keys.
type otherAccounts struct {
	actions.Node

	other *twin.World
}

// Account returns the account of another seed.
func (o *otherAccounts) Account(ctx context.Context, family int32) (
	*hdkeychain.ExtendedKey, uint32, error) {

	o.other.Lnd.Replace("mallory")
	o.other.Lnd.SetNext(family, 0)

	return o.other.Lnd.Account(ctx, family)
}

// TestReconciled shows the canonical summary, with all deposits in the order of
// the chain and the spend of the one that is spent.
func TestReconciled(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.done(states.Reconciled, s.upTo(states.Reconciled))

	var summary actions.Summary
	require.NoError(t, json.Unmarshal(facts.Summary, &summary))
	require.Equal(t, s.tokenID(), summary.TokenID)
	require.Equal(t, twin.Network, summary.Network)
	require.Equal(t, facts.Generation.Address, summary.Address)
	require.EqualValues(t, keyIndex, summary.KeyIndex)
	require.EqualValues(t, twin.Expiry, summary.Expiry)
	require.EqualValues(t, 1_300_000, summary.Unspent)

	byName := make(map[string]actions.SummaryOutput)
	height := int32(0)
	for _, output := range summary.Outputs {
		require.LessOrEqual(t, height, output.Height)
		height = output.Height
		byName[output.OutPoint] = output
	}
	require.Len(t, byName, len(s.deposits))
	for i, deposit := range s.deposits {
		output := byName[deposit.String()]
		require.Equal(t, i == 1, output.SpendTxID != "")
		require.Equal(t, i == 1, output.SpendHeight != 0)
	}
	require.EqualValues(t, 100_000, byName[s.deposits[0].String()].Value)
	require.EqualValues(t, 2, byName[s.deposits[2].String()].KeyIndex)
}

// TestReconciledReorg shows that a reorg that undid what the scan found leads
// back to the scan, and that the second summary tells the new history.
func TestReconciledReorg(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.Reconciled)

	// The last deposit is dropped; a spend appears instead.
	s.world.Chain.Reorg(3)
	s.world.Chain.Spend(s.deposits[0], 100_000)
	s.world.Chain.Mine(5)
	s.deposits = s.deposits[:4]

	event, facts, err := s.act(states.Reconciled, facts)
	require.NoError(t, err)
	require.Equal(t, states.Reorged, event)
	require.Nil(t, facts.Coverage)
	require.Empty(t, facts.Summary)

	facts = s.done(states.ScanDeposits, facts)
	s.requirePublished()
	facts = s.done(states.Reconciled, facts)
	var summary actions.Summary
	require.NoError(t, json.Unmarshal(facts.Summary, &summary))
	require.Len(t, summary.Outputs, 4)
	require.EqualValues(t, 700_000, summary.Unspent)
}

// TestReconciledShorter shows that a tip that is gone counts as a reorg even
// before the new branch has grown past it.
func TestReconciledShorter(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.Reconciled)
	s.world.Chain.Reorg(1)
	event, _, err := s.act(states.Reconciled, facts)
	require.NoError(t, err)
	require.Equal(t, states.Reorged, event)
}

// TestReconciledGrown shows that new blocks change nothing: the summary is of
// the tip that was scanned.
func TestReconciledGrown(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.Reconciled)
	before := s.done(states.Reconciled, facts)

	s.pay(0, keyIndex, 700_000)
	s.world.Chain.Mine(2)
	after := s.done(states.Reconciled, facts)
	require.Equal(t, string(before.Summary), string(after.Summary))

	again := s.done(states.Reconciled, after)
	require.Equal(t, string(before.Summary), string(again.Summary))
}

// TestReconciledCoverage shows that a result whose evidence does not hold is
// not declared final.
func TestReconciledCoverage(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	good := s.upTo(states.Reconciled)
	for name, spoil := range map[string]func(*actions.Facts){
		"gap not closed": func(f *actions.Facts) {
			family := &f.Coverage.Families[1]
			family.Tested = family.Used + twin.LookAhead - 1
		},
		"family missing": func(f *actions.Facts) {
			f.Coverage.Families = f.Coverage.Families[:2]
		},
		"address missing": func(f *actions.Facts) {
			f.Coverage.Families = f.Coverage.Families[1:]
		},
		"output beyond the used ones": func(f *actions.Facts) {
			f.Coverage.Families[2].Used = 1
		},
		"output above the tip": func(f *actions.Facts) {
			f.Coverage.Tip.Height -= 4
			hash, err := s.world.Chain.BlockHash(
				t.Context(), f.Coverage.Tip.Height,
			)
			require.NoError(t, err)
			f.Coverage.Tip.Hash = hash
		},
	} {
		bad := saved(t, good)
		spoil(&bad)
		event, after, err := s.act(states.Reconciled, bad)
		require.Error(t, err, name)
		require.Empty(t, event, name)
		require.Empty(t, after.Summary, name)
	}
	s.done(states.Reconciled, good)
}

// changingScanner is a scanner whose stored outputs change between two reads.
type changingScanner struct {
	actions.Scanner

	reads int
}

// Result returns the stored outputs, with another value every other time.
func (c *changingScanner) Result(ctx context.Context, runID string) (
	[]chainscan.Output, error) {

	outputs, err := c.Scanner.Result(ctx, runID)
	outputs[0].Value += btcutil.Amount(c.reads % 2)
	c.reads++

	return outputs, err
}

// TestReconciledChanged shows that a result that changes while it is summed up
// is not declared final.
func TestReconciledChanged(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.Reconciled)
	deps := s.world.Deps()
	deps.Scanner = &changingScanner{Scanner: s.world.Scanner}
	outcome, err := actions.Set(deps, runID)[states.Reconciled](
		t.Context(), facts,
	)
	require.ErrorContains(t, err, "changed")
	require.Empty(t, outcome.Facts.Summary)
}

// TestReconciledLookAhead shows that a setting changed between scan and check
// does not put the scan in doubt.
func TestReconciledLookAhead(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.upTo(states.Reconciled)
	deps := s.world.Deps()
	deps.LookAhead = 10 * twin.LookAhead
	outcome, err := actions.Set(deps, runID)[states.Reconciled](
		t.Context(), facts,
	)
	require.NoError(t, err)
	require.Equal(t, states.Done, outcome.Event)
}
