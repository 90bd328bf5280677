package actions_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

const (
	// runID is the id of the run in these tests.
	runID = "run"

	// keyIndex is the index of the client key of the tests' generation:
	// not zero, since 42060 also holds keys of swap HTLCs.
	keyIndex = 3

	// place is the first backup place.
	place = twin.DataDir
)

// errFault is an error of which the actions know nothing: a passing one.
var errFault = errors.New("fault")

// story is a world in which a client has lost its directory and its lnd.
type story struct {
	*testing.T

	world   *twin.World
	content *backup.Content

	// file is the path of the generation's backup.
	file string

	// families are the true scripts of the generation: the static address,
	// the receive and the change family.
	families []chainscan.Family

	// deposits are the outputs that pay the client, in the order in which
	// they were made.
	deposits []wire.OutPoint
}

// newStory returns a world with one generation, its backup and five deposits:
// three to the static address, of which one is spent, one to a receive address
// and one to a change address at the end of the look-ahead. lnd was rebuilt
// from its seed.
func newStory(t *testing.T) *story {
	s := &story{T: t, world: twin.NewWorld()}
	s.content = s.world.NewContent("alice", keyIndex)
	s.families = s.world.Families(s.content.Address)
	s.file = s.world.Backups.Put(place, s.content)
	s.pay(0, keyIndex, 100_000)
	s.pay(0, keyIndex, 200_000)
	s.world.Chain.Mine(2)
	s.pay(1, 2, 300_000)
	s.pay(2, twin.LookAhead-1, 400_000)
	s.world.Chain.Spend(s.deposits[1], 200_000)
	s.world.Chain.Mine(1)
	s.pay(0, keyIndex, 500_000)
	s.world.Chain.Mine(3)

	return s
}

// pay pays a key of the static address (family 0), the receive or the change
// family.
func (s *story) pay(family int, index uint32, value int64) {
	s.Helper()

	pkScript, err := s.families[family].Script(index)
	require.NoError(s, err)
	s.deposits = append(s.deposits, s.world.Chain.Fund(
		pkScript, btcutil.Amount(value),
	))
}

// act runs the action of one state. The facts come back as they are after they
// were saved and read again.
func (s *story) act(state states.State, facts actions.Facts) (states.Event,
	actions.Facts, error) {

	s.Helper()

	before := saved(s.T, facts)
	outcome, err := actions.Set(s.world.Deps(), runID)[state](
		s.Context(), facts,
	)
	require.Equal(s, before, saved(s.T, facts), "the caller's facts")

	return outcome.Event, saved(s.T, outcome.Facts), err
}

// done runs the action of one state, which must be done, and returns the facts.
func (s *story) done(state states.State, facts actions.Facts) actions.Facts {
	s.Helper()

	event, after, err := s.act(state, facts)
	require.NoError(s, err)
	require.Equal(s, states.Done, event)

	return after
}

// upTo runs the restore until the given state is entered.
func (s *story) upTo(state states.State) actions.Facts {
	s.Helper()

	var facts actions.Facts
	for _, at := range states.RestoreTable().Path {
		if at == state {
			break
		}
		facts = s.done(at, facts)
	}

	return facts
}

// blocked runs the action of one state, which must block with a reason, and
// returns the detail.
func (s *story) blocked(state states.State, facts actions.Facts,
	reason states.Reason) string {

	s.Helper()

	event, _, err := s.act(state, facts)
	require.Empty(s, event)

	return requireBlock(s.T, err, reason)
}

// requireBlock makes sure that an error blocks with a reason, and returns the
// detail.
func requireBlock(t *testing.T, err error, reason states.Reason) string {
	t.Helper()

	var block *actions.BlockError
	require.ErrorAs(t, err, &block)
	require.Equal(t, reason, block.Reason, "%v", err)

	return block.Detail
}

// passing runs the action of one state, which must fail without blocking, and
// returns the facts.
func (s *story) passing(state states.State, facts actions.Facts,
	target error) actions.Facts {

	s.Helper()

	_, after, err := s.act(state, facts)
	require.ErrorIs(s, err, target)

	var block *actions.BlockError
	require.NotErrorAs(s, err, &block)

	return after
}

// crash runs the action of one state until the process ends after the given
// call, and starts the next process with an open gate.
func (s *story) crash(state states.State, facts actions.Facts, call string) {
	s.Helper()

	s.world.SetHook(twin.FailAt(
		twin.Point{Call: call, After: true}, 1, twin.ErrCrashed,
	))
	_, _, err := s.act(state, facts)
	require.ErrorIs(s, err, twin.ErrCrashed)
	s.world.SetHook(nil)
	s.world.Restart(false)
}

// clean makes sure that nothing was done that must never be done.
func (s *story) clean() {
	s.Helper()
	require.Empty(s, s.world.Violations())
}

// untouched makes sure that neither token, row, script nor key counter changed
// from what a rebuilt lnd and an empty directory have.
func (s *story) untouched() {
	s.Helper()

	_, exists := s.world.Tokens.Get()
	require.False(s, exists)
	require.Empty(s, s.world.Rows.Get())
	require.False(s, s.world.Lnd.Watches(s.pkScript()))
	require.Zero(s, s.world.Lnd.Next(s.legacy()))
}

// pkScript returns the output script of the static address.
func (s *story) pkScript() []byte {
	s.Helper()

	pkScript, err := s.content.Address.PkScript(s.content.Address.ClientKey)
	require.NoError(s, err)

	return pkScript
}

// legacy returns the key family of the static address.
func (s *story) legacy() int32 {
	return int32(s.content.Address.ClientLocator.Family)
}

// tokenID returns the id of the generation's token as facts have it.
func (s *story) tokenID() string {
	return hex.EncodeToString(s.content.TokenID[:])
}

// saved returns the facts as they are after they were written and read.
func saved(t *testing.T, facts actions.Facts) actions.Facts {
	t.Helper()

	raw, err := json.Marshal(facts)
	require.NoError(t, err)

	var again actions.Facts
	require.NoError(t, json.Unmarshal(raw, &again))

	return again
}
