package actions_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// listing is an embedded daemon that notices its deposits after a while, or
// never comes up.
type listing struct {
	after time.Duration
	begun time.Time
	down  bool
	hangs bool
	shows []wire.OutPoint
}

// Listed implements actions.Listing.
func (l *listing) Listed(ctx context.Context) ([]wire.OutPoint, error) {
	switch {
	case l.hangs:
		<-ctx.Done()
		return nil, ctx.Err()

	case l.down:
		return nil, errors.New("it is not up")

	case time.Since(l.begun) < l.after:
		return nil, nil
	}

	return l.shows, nil
}

// reconcile runs the last state with an embedded daemon, and returns what it
// was said to list, and how long that took.
func (s *story) reconcile(daemon *listing) (actions.Facts, time.Duration) {
	s.Helper()

	deps := s.world.Deps()
	deps.Listing = daemon
	begun := time.Now()
	daemon.begun = begun
	outcome, err := actions.Set(deps, runID)[states.Reconciled](
		s.Context(), s.upTo(states.Reconciled),
	)
	require.NoError(s, err)
	require.Equal(s, states.Done, outcome.Event)

	return saved(s.T, outcome.Facts), time.Since(begun)
}

// TestListing shows that the result tells of each deposit whether the swap
// client lists it, that this is waited for no longer than half a minute, and
// that neither a daemon that is down nor one that hangs stands in the way.
func TestListing(t *testing.T) {
	t.Parallel()

	const bound = 30 * time.Second
	for name, test := range map[string]struct {
		daemon listing
		shows  bool
		own    actions.Listed
		waits  time.Duration
	}{
		"at once": {listing{}, true, actions.ListedYes, 0},
		"late": {
			listing{after: bound / 3}, true, actions.ListedYes,
			bound / 3,
		},
		"too late": {
			listing{after: 2 * bound}, true, actions.ListedNo,
			bound,
		},
		"never": {listing{}, false, actions.ListedNo, bound},
		"down": {
			listing{down: true}, true, actions.ListedUnknown,
			bound,
		},
		"hangs": {
			listing{hangs: true}, true, actions.ListedUnknown,
			bound,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStory(t)
				if test.shows {
					test.daemon.shows = s.deposits
				}
				facts, waited := s.reconcile(&test.daemon)
				wanted := make(map[string]actions.Listed)
				for i, answer := range map[int]actions.Listed{
					0: test.own, 4: test.own,
					2: actions.ListedNotOwn,
					3: actions.ListedNotOwn,
				} {
					wanted[s.deposits[i].String()] = answer
				}
				require.Equal(t, wanted, facts.Listing)
				require.GreaterOrEqual(t, waited, test.waits)
				require.LessOrEqual(t, waited, bound)
			})
		})
	}
}

// TestListingCancelled shows that a run that is given up does not wait.
func TestListingCancelled(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		s := newStory(t)
		facts := s.upTo(states.Reconciled)
		deps := s.world.Deps()
		deps.Listing = &listing{hangs: true}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		_, err := actions.Set(deps, runID)[states.Reconciled](
			ctx, facts,
		)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// TestListingUnasked shows that without anybody to ask nothing is waited for.
func TestListingUnasked(t *testing.T) {
	t.Parallel()

	s := newStory(t)
	facts := s.done(states.Reconciled, s.upTo(states.Reconciled))
	require.Equal(t, actions.ListedUnknown,
		facts.Listing[s.deposits[0].String()])
}
