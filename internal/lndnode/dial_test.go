package lndnode

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/looprecovery/looprecovery/internal/await"
	"github.com/looprecovery/looprecovery/internal/testkit/fakelnd"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// waits collects the states that an Await went through.
type waits chan await.State

// take is onState.
func (w waits) take(state await.State) {
	select {
	case w <- state:
	default:
	}
}

// awaitReason waits for a state of a reason.
func (w waits) awaitReason(t *testing.T, reason states.Reason) await.State {
	t.Helper()

	deadline := time.After(testTimeout)
	for {
		select {
		case state := <-w:
			if state.Reason == reason {
				return state
			}

		case <-deadline:
			require.Fail(t, "never waited for "+string(reason))
		}
	}
}

// TestAwait checks that a start waits for lnd to come, to be unlocked and to
// catch up, says for what, and goes on by itself.
func TestAwait(t *testing.T) {
	lnd, cfg := startLnd(t)
	lnd.Set(func(b *fakelnd.Behaviour) {
		b.State, b.Synced = lnrpc.WalletState_LOCKED, false
	})
	lnd.Stop()
	node := newNode(t, cfg)
	_, err := node.Services()
	require.ErrorIs(t, err, ErrNotReady)
	requireTransient(t, err, states.LndDown)

	reasons, done := make(waits, 1), make(chan error, 1)
	var services *Services
	go func() {
		var err error
		services, err = node.Await(t.Context(), true, reasons.take)
		done <- err
	}()
	state := reasons.awaitReason(t, states.LndDown)
	require.Equal(t, cfg.Host, state.Detail)
	require.False(t, state.Permanent)
	_, err = node.Services()
	require.ErrorIs(t, err, ErrNotReady)
	requireTransient(t, err, states.LndDown)

	require.NoError(t, lnd.Restart())
	reasons.awaitReason(t, states.LndLocked)
	_, err = node.Services()
	require.ErrorIs(t, err, ErrNotReady)
	requireTransient(t, err, states.LndLocked)

	lnd.Set(func(b *fakelnd.Behaviour) {
		b.State = lnrpc.WalletState_SERVER_ACTIVE
	})
	state = reasons.awaitReason(t, states.Starting)
	require.ErrorIs(t, state.Err, ErrNotSynced)

	lnd.Set(func(b *fakelnd.Behaviour) { b.Synced = true })
	require.NoError(t, <-done)
	require.Equal(t, lnd.Identity(), [33]byte(services.NodePubkey))
	services.Close()
	pinned, ok := node.Pinned()
	require.True(t, ok)
	require.Equal(t, lnd.Identity(), pinned)
}

// TestAwaitEnds checks that waiting ends with the context, at once, whatever is
// waited for; and that nothing is left of it.
func TestAwaitEnds(t *testing.T) {
	ended := errors.New("ended")
	for _, method := range []string{
		"/lnrpc.State/GetState", "/lnrpc.Lightning/GetInfo",
		"/verrpc.Versioner/GetVersion", "/lnrpc.State/SubscribeState",
		"/chainrpc.ChainNotifier/RegisterBlockEpochNtfn",
	} {
		t.Run(method, func(t *testing.T) {
			lnd, cfg := startLnd(t)
			lnd.Set(func(b *fakelnd.Behaviour) {
				b.Hangs = map[string]bool{method: true}
			})
			node := newNode(t, cfg)
			leavesNothing(t, 10, func() {
				ctx, cancel := context.WithCancelCause(
					t.Context(),
				)
				called := lnd.Calls(method)
				done := make(chan error, 1)
				go func() {
					_, err := node.Await(ctx, true, nil)
					done <- err
				}()
				require.Eventually(t, func() bool {
					return lnd.Calls(method) > called
				}, testTimeout, time.Millisecond)
				cancel(ended)
				require.ErrorIs(t, <-done, ended)
			})
		})
	}
}

// TestDialLeavesNothing checks that connections that were closed leave nothing
// open, and that neither do those that fail after the look.
func TestDialLeavesNothing(t *testing.T) {
	lnd, cfg := startLnd(t)
	node := newNode(t, cfg)
	leavesNothing(t, 50, func() {
		services, err := node.Dial(t.Context(), true)
		require.NoError(t, err)
		services.Close()
	})
	for _, method := range []string{
		"/lnrpc.State/SubscribeState",
		"/chainrpc.ChainNotifier/RegisterBlockEpochNtfn",
	} {
		lnd.Set(func(b *fakelnd.Behaviour) {
			b.Errors = map[string]error{method: errors.New("no")}
		})
		leavesNothing(t, 50, func() {
			_, err := node.Dial(t.Context(), true)
			requireTransient(t, err, states.Starting)
		})
	}
}

// keep keeps the connection of a node during a test.
func keep(t *testing.T, node *Node) {
	t.Helper()

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- node.Keep(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		node.Close()
	})
}

// serves waits until our own connection serves a call.
func serves(t *testing.T, node *Node) {
	t.Helper()

	require.Eventually(t, func() bool {
		_, err := node.Keys().Identity(t.Context())
		return err == nil
	}, testTimeout, 5*time.Millisecond)
}

// withdrawn waits until there is no connection, and returns why.
func withdrawn(t *testing.T, node *Node, reason states.Reason) {
	t.Helper()

	require.Eventually(t, func() bool {
		_, err := node.Services()
		return errors.Is(err, ErrNotReady) &&
			await.NewState(err).Reason == reason
	}, testTimeout, 5*time.Millisecond, "%v", node.State().Err)
}

// TestKeepRenews checks that the connection comes back by itself after each way
// in which lnd can go and come: also while a recovery runs, since nothing else
// needs to happen.
func TestKeepRenews(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *fakelnd.Lnd){
		"restarted": func(*testing.T, *fakelnd.Lnd) {},
		"renewed certificate": func(t *testing.T, lnd *fakelnd.Lnd) {
			require.NoError(t, lnd.RenewTLS())
		},
		"renewed macaroon": func(t *testing.T, lnd *fakelnd.Lnd) {
			lnd.Revoke()
			require.NoError(t, lnd.Bake(fakelnd.Everything()...))
		},
	} {
		t.Run(name, func(t *testing.T) {
			lnd, cfg := startLnd(t)
			node := newNode(t, cfg)
			keep(t, node)
			serves(t, node)
			before, err := node.Services()
			require.NoError(t, err)

			lnd.Stop()
			withdrawn(t, node, states.LndDown)
			change(t, lnd)
			require.NoError(t, lnd.Restart())
			serves(t, node)
			after, err := node.Services()
			require.NoError(t, err)
			require.NotSame(t, before, after)

			// Whoever has to look at lnd's wallet again is told.
			select {
			case <-node.Renewed():
			case <-time.After(testTimeout):
				require.Fail(t, "nobody was told")
			}
		})
	}
}

// TestKeepNoticesRefusal checks that a macaroon that was revoked while lnd runs
// on is noticed, and its successor taken.
func TestKeepNoticesRefusal(t *testing.T) {
	lnd, cfg := startLnd(t)
	node := newNode(t, cfg)
	keep(t, node)
	serves(t, node)

	lnd.Revoke()
	withdrawn(t, node, states.LndRefuses)
	require.True(t, node.State().Permanent)
	require.NoError(t, lnd.Bake(fakelnd.Everything()...))
	serves(t, node)
}

// TestWrongLnd checks that another lnd at the same address is never talked to,
// by nobody who got a connection, and that the right one is taken back.
// Otherwise the deposits of one wallet are judged by another.
func TestWrongLnd(t *testing.T) {
	lnd, cfg := startLnd(t)
	node := newNode(t, cfg)
	keep(t, node)
	serves(t, node)
	first := lnd.Identity()
	embedded, err := node.Await(t.Context(), true, nil)
	require.NoError(t, err)
	defer embedded.Close()

	lnd.Set(func(b *fakelnd.Behaviour) { b.Seed = "second" })
	require.NoError(t, lnd.Restart())
	withdrawn(t, node, states.WrongLnd)
	calls := lnd.Calls("/chainrpc.ChainKit/GetBestBlock")
	for range 20 {
		_, _, err := embedded.ChainKit.GetBestBlock(t.Context())
		require.Error(t, err)
		_, err = node.Chain().BestBlock(t.Context())
		requirePermanent(t, err, states.WrongLnd, "instead of")
		_, err = node.Dial(t.Context(), false)
		requirePermanent(t, err, states.WrongLnd, "instead of")
	}
	require.Equal(t, calls, lnd.Calls("/chainrpc.ChainKit/GetBestBlock"))

	lnd.Set(func(b *fakelnd.Behaviour) { b.Seed = "first" })
	require.NoError(t, lnd.Restart())
	serves(t, node)
	pinned, _ := node.Pinned()
	require.Equal(t, first, pinned)
	require.Eventually(t, func() bool {
		_, _, err := embedded.ChainKit.GetBestBlock(t.Context())
		return err == nil
	}, testTimeout, 10*time.Millisecond)
}

// TestForget checks that the right lnd is taken after the first one turned out
// to be wrong, and is then held to.
func TestForget(t *testing.T) {
	lnd, cfg := startLnd(t)
	node := newNode(t, cfg)
	keep(t, node)
	serves(t, node)

	node.Forget()
	lnd.Set(func(b *fakelnd.Behaviour) { b.Seed = "right" })
	require.NoError(t, lnd.Restart())
	embedded, err := node.Await(t.Context(), true, nil)
	require.NoError(t, err)
	defer embedded.Close()
	serves(t, node)
	pinned, _ := node.Pinned()
	require.Equal(t, fakelnd.Identity("right"), pinned)

	lnd.Set(func(b *fakelnd.Behaviour) { b.Seed = "first" })
	require.NoError(t, lnd.Restart())
	withdrawn(t, node, states.WrongLnd)
}

// TestOutageIsLoggedOnce checks that an outage is a line when it begins, one at
// each change of its cause and one at its end, whoever notices it.
func TestOutageIsLoggedOnce(t *testing.T) {
	lines := captureLog(t)
	lnd, cfg := startLnd(t)
	node := newNode(t, cfg)
	keep(t, node)
	serves(t, node)

	lnd.Set(func(b *fakelnd.Behaviour) {
		b.State = lnrpc.WalletState_LOCKED
	})
	lnd.Stop()
	waiting := make(waits, 1)
	done := make(chan error, 1)
	go func() {
		services, err := node.Await(t.Context(), true, waiting.take)
		if err == nil {
			services.Close()
		}
		done <- err
	}()
	for range 3 {
		waiting.awaitReason(t, states.LndDown)
	}
	require.NoError(t, lnd.Restart())
	for range 2 {
		waiting.awaitReason(t, states.LndLocked)
	}
	lnd.Set(func(b *fakelnd.Behaviour) {
		b.State = lnrpc.WalletState_SERVER_ACTIVE
	})
	require.NoError(t, <-done)
	serves(t, node)

	all := lines.all()
	require.Len(t, all, 3)
	for i, text := range []string{"LND_DOWN", "LND_LOCKED", "ready"} {
		require.Contains(t, all[i], text)
	}
	require.False(t, slices.ContainsFunc(all, func(line string) bool {
		return strings.Contains(line, "[ERR]")
	}))
}

// TestPinnedFromOutside checks that an identity that the caller kept is held
// against the first lnd, too.
func TestPinnedFromOutside(t *testing.T) {
	_, cfg := startLnd(t)
	other := fakelnd.Identity("other")
	cfg.Identity = &other
	node := newNode(t, cfg)
	requirePermanent(
		t, node.Probe(t.Context()), states.WrongLnd, "instead of",
	)
	_, err := node.Dial(t.Context(), false)
	requirePermanent(t, err, states.WrongLnd, "instead of")
	require.ErrorContains(t, node.pin(fakelnd.Identity("first")),
		"instead of")
}
