package gate

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lightningnetwork/lnd/clock"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// fakeDaemon is an embedded daemon that does nothing.
type fakeDaemon struct {
	ctx    context.Context
	cancel context.CancelFunc
	exited chan error

	// stubborn daemons do not end when they are stopped.
	stubborn bool

	// stopError is what a stopped one ends with.
	stopError error
}

// Context implements Instance.
func (d *fakeDaemon) Context() context.Context { return d.ctx }

// Exited implements Instance.
func (d *fakeDaemon) Exited() <-chan error { return d.exited }

// Stop implements Instance.
func (d *fakeDaemon) Stop() {
	if !d.stubborn {
		d.end(d.stopError)
	}
}

// end ends the daemon.
func (d *fakeDaemon) end(err error) {
	d.cancel()
	d.exited <- err
}

// newDaemon returns a daemon that runs.
func newDaemon() *fakeDaemon {
	ctx, cancel := context.WithCancel(context.Background())

	return &fakeDaemon{
		ctx: ctx, cancel: cancel, exited: make(chan error, 2),
	}
}

// rig is a gate with daemons, all within a bubble of synctest: its time stands
// still while something can happen.
type rig struct {
	*Gate[*fakeDaemon]

	// starts counts the calls of Start.
	starts int

	// started is the newest daemon.
	started *fakeDaemon

	// starting, if set, replaces Start.
	starting func(context.Context) (*fakeDaemon, error)

	// task and askErr are the answers of the running daemon, dbTask that
	// of the database.
	task, dbTask string
	askErr       error

	// asking, if set, is called before an answer.
	asking func(ctx context.Context, up bool)

	// cancel ends the gate's Run, whose result is in ran.
	cancel context.CancelFunc
	ran    chan error
}

// start implements Config.Start.
func (r *rig) start(ctx context.Context) (*fakeDaemon, error) {
	r.starts++
	if r.starting != nil {
		daemon, err := r.starting(ctx)
		r.started = daemon
		return daemon, err
	}
	r.started = newDaemon()

	return r.started, nil
}

// busy implements Config.Busy.
func (r *rig) busy(ctx context.Context, running *fakeDaemon, up bool) (string,
	error) {

	if r.asking != nil {
		r.asking(ctx, up)
	}
	if !up {
		return r.dbTask, nil
	}
	if running.ctx.Err() != nil {
		return "", errors.New("asked a daemon that is down")
	}

	return r.task, r.askErr
}

// inBubble runs a test with a gate whose Run is under way.
func inBubble(t *testing.T, test func(t *testing.T, r *rig),
	holders ...Holder) {

	synctest.Test(t, func(t *testing.T) {
		r := &rig{ran: make(chan error, 1)}
		r.Gate = New(Config[*fakeDaemon]{
			Start: r.start,
			Busy:  r.busy,
			Clock: clock.NewDefaultClock(),
		}, holders...)

		var ctx context.Context
		ctx, r.cancel = context.WithCancel(context.Background())
		go func() { r.ran <- r.Run(ctx) }()
		synctest.Wait()

		test(t, r)
		r.cancel()
		if r.started != nil {
			r.started.cancel()
		}
		synctest.Wait()
	})
}

// hold asks for a hold in the background.
func (r *rig) hold(ctx context.Context, name string) <-chan error {
	result := make(chan error, 1)
	go func() {
		result <- r.Hold(ctx, Holder{name, states.RecoveryActive})
	}()
	synctest.Wait()

	return result
}

// requireState checks what the daemon is doing and why calls are refused.
func (r *rig) requireState(t *testing.T, state State, reason states.Reason) {
	t.Helper()

	synctest.Wait()
	status := r.Status()
	require.Equal(t, state.String(), status.State.String())
	require.Equal(t, reason, status.Reason)

	_, done, err := r.Enter(t.Context())
	if reason == "" {
		require.NoError(t, err)
		done()
		return
	}
	var down *DownError
	require.ErrorAs(t, err, &down)
	require.Equal(t, reason, down.Reason)
	require.ErrorContains(t, err, string(reason))
}

// TestHeldFromTheBeginning checks that nothing runs while a restore of an
// earlier process writes, and that each holder must release its own hold.
func TestHeldFromTheBeginning(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.requireState(t, Down, states.RecoveryActive)
		require.Equal(t, "begin", r.Status().Holders[0].Name)

		r.Release("begin")
		r.requireState(t, Down, states.RecoveryActive)
		require.Zero(t, r.starts)

		r.Release("restore")
		r.requireState(t, Up, "")
		require.Equal(t, 1, r.starts)
	}, Holder{Name: "begin"}, Holder{"restore", states.RecoveryActive})
}

// TestJoin checks that work which stands half way is not asked whether it may
// go on, and outlives the hold that it joined.
func TestJoin(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.dbTask = "swap 01"
		require.True(t, r.Join(Holder{"run", states.RecoveryActive}))
		require.True(t, r.Join(Holder{"run", states.RecoveryActive}))
		r.Release("begin")
		r.requireState(t, Down, states.RecoveryActive)
		require.NoError(t, <-r.hold(t.Context(), "run"))

		r.Release("run")
		r.requireState(t, Up, "")
		require.False(t, r.Join(Holder{Name: "run"}))
		r.requireState(t, Up, "")
	}, Holder{Name: "begin"})
}

// TestJoinWhileAsked checks that joining decides a hold that is being asked
// for.
func TestJoinWhileAsked(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.asking = func(ctx context.Context, _ bool) { <-ctx.Done() }
		asked := r.hold(t.Context(), "run")
		require.True(t, r.Join(Holder{"run", states.RecoveryActive}))
		require.ErrorIs(t, <-asked, ErrReleased)

		r.Release("begin")
		r.requireState(t, Down, states.RecoveryActive)
	}, Holder{Name: "begin"})
}

// TestReasons checks that callers are told the newest reason there is: a
// holder's, or what was noted while no holder gives one.
func TestReasons(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.requireState(t, Down, states.Starting)
		r.Note(states.LndLocked)
		r.requireState(t, Down, states.LndLocked)

		standby := Holder{"owner", states.Standby}
		require.NoError(t, r.Hold(t.Context(), standby))
		r.requireState(t, Down, states.Standby)

		standby.Reason = states.DatabaseDown
		require.NoError(t, r.Hold(t.Context(), standby))
		r.requireState(t, Down, states.DatabaseDown)

		r.Release("owner")
		r.requireState(t, Down, states.LndLocked)
	}, Holder{Name: "begin"})
}

// TestHoldStopsAndReleaseStarts checks the ordinary life of a hold: the daemon
// is down when it is in force, and up again after it.
func TestHoldStopsAndReleaseStarts(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		first := r.started
		require.NoError(t, <-r.hold(t.Context(), "a"))
		require.Error(t, first.ctx.Err())
		r.requireState(t, Down, states.RecoveryActive)

		// Again, which asks nothing and stops nothing.
		r.dbTask = "swap 01"
		require.NoError(t, <-r.hold(t.Context(), "a"))

		// A release by somebody else opens nothing.
		r.Release("b")
		r.requireState(t, Down, states.RecoveryActive)

		r.Release("a")
		r.requireState(t, Up, "")
		require.Equal(t, 2, r.starts)
	})
}

// TestBusy checks that swaps in flight are not interrupted: a hold is refused
// before anything was stopped, whoever knows of them, and calls are let in
// again.
func TestBusy(t *testing.T) {
	t.Run("the daemon knows", func(t *testing.T) {
		inBubble(t, func(t *testing.T, r *rig) {
			r.task = "swap 01"
			err := <-r.hold(t.Context(), "a")
			var busy *BusyError
			require.ErrorAs(t, err, &busy)
			require.Equal(t, "swap 01", busy.Task)
			require.ErrorContains(t, err, "swap 01")

			require.NoError(t, r.started.ctx.Err())
			r.requireState(t, Up, "")
			task, err := r.Task(t.Context())
			require.NoError(t, err)
			require.Equal(t, "swap 01", task)
		})
	})

	t.Run("the database knows", func(t *testing.T) {
		inBubble(t, func(t *testing.T, r *rig) {
			r.started.end(errors.New("lnd went away"))
			synctest.Wait()
			r.dbTask = "swap 02"

			task, err := r.Task(t.Context())
			require.NoError(t, err)
			require.Equal(t, "swap 02", task)
			var busy *BusyError
			require.ErrorAs(t, <-r.hold(t.Context(), "a"), &busy)

			time.Sleep(restartPause)
			r.requireState(t, Up, "")
		})
	})

	t.Run("nobody knows", func(t *testing.T) {
		inBubble(t, func(t *testing.T, r *rig) {
			r.askErr = errors.New("no such table")
			err := <-r.hold(t.Context(), "a")
			var ask *AskError
			require.ErrorAs(t, err, &ask)
			require.ErrorIs(t, err, r.askErr)
			require.ErrorContains(t, err, "no such table")
			r.requireState(t, Up, "")
		})
	})
}

// TestAskedWhileStarting checks that a hold that comes while a start is under
// way asks the database, waits for the end of the start, and is in force only
// then: nothing may come up while token and row are written.
func TestAskedWhileStarting(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		finish := make(chan struct{})
		r.starting = func(ctx context.Context) (*fakeDaemon, error) {
			// It notices too late that it was called off.
			<-ctx.Done()
			<-finish
			return newDaemon(), nil
		}
		r.Release("begin")
		r.requireState(t, Starting, states.Starting)

		// What the database says keeps the start.
		r.dbTask = "swap 01"
		var busy *BusyError
		require.ErrorAs(t, <-r.hold(t.Context(), "a"), &busy)
		r.dbTask = ""

		var askedUp []bool
		r.asking = func(_ context.Context, up bool) {
			askedUp = append(askedUp, up)
		}
		held := r.hold(t.Context(), "a")
		require.Empty(t, held)
		close(finish)
		require.NoError(t, <-held)
		require.Equal(t, []bool{false, true}, askedUp)
		require.Error(t, r.started.ctx.Err())
		r.requireState(t, Down, states.RecoveryActive)
	}, Holder{Name: "begin"})
}

// TestCalledOff checks that a start that still waits, as for lnd, is called off
// for a hold and begun anew after it.
func TestCalledOff(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.starting = func(ctx context.Context) (*fakeDaemon, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		r.Release("begin")
		require.NoError(t, <-r.hold(t.Context(), "a"))
		r.requireState(t, Down, states.RecoveryActive)

		r.starting = nil
		r.Release("a")
		r.requireState(t, Up, "")
	}, Holder{Name: "begin"})
}

// TestFailedStartEnds checks that a start that fails is the last one of the
// process, also if the start was not wanted any more: parts of the daemon may
// run, and a second one would run two swap clients on the same swaps. No hold
// is in force after it.
func TestFailedStartEnds(t *testing.T) {
	for _, calledOff := range []bool{false, true} {
		inBubble(t, func(t *testing.T, r *rig) {
			failed := errors.New("no macaroon store")
			finish := make(chan struct{})
			r.starting = func(context.Context) (*fakeDaemon,
				error) {

				<-finish
				return nil, failed
			}
			r.Release("begin")

			held := make(<-chan error)
			if calledOff {
				held = r.hold(t.Context(), "a")
			}
			close(finish)
			require.ErrorIs(t, <-r.ran, failed)
			if calledOff {
				require.ErrorIs(t, <-held, ErrEnded)
			}
			require.ErrorIs(t, <-r.hold(t.Context(), "b"), ErrEnded)

			r.Release("a")
			time.Sleep(time.Hour)
			require.Equal(t, 1, r.starts)
		}, Holder{Name: "begin"})
	}
}

// TestCallsAreWaitedFor checks that a call that holds the daemon is done before
// it is stopped, that none is admitted meanwhile, and that a call that does not
// end refuses the hold.
func TestCallsAreWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		running, done, err := r.Enter(t.Context())
		require.NoError(t, err)

		held := r.hold(t.Context(), "a")
		r.requireState(t, Up, states.RecoveryActive)
		require.Empty(t, held)
		require.NoError(t, running.ctx.Err())
		done()
		done()
		require.NoError(t, <-held)
		require.Error(t, running.ctx.Err())
		r.Release("a")
		r.requireState(t, Up, "")

		_, done, err = r.Enter(t.Context())
		require.NoError(t, err)
		begun := time.Now()
		var busy *BusyError
		require.ErrorAs(t, <-r.hold(t.Context(), "a"), &busy)
		require.Equal(t, callLimit, time.Since(begun))
		require.Equal(t, "1 calls to the swap client", busy.Task)
		r.requireState(t, Up, "")
		done()
		require.Equal(t, 2, r.starts)
	})
}

// TestStreamsAreEnded checks that a call that goes on for ever, such as a
// monitor, holds nobody back: it ends at the stop.
func TestStreamsAreEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		_, stream, done, err := r.EnterStream(t.Context())
		require.NoError(t, err)
		_, other, otherDone, err := r.EnterStream(t.Context())
		require.NoError(t, err)
		otherDone()
		require.Error(t, other.Err())
		require.NoError(t, stream.Err())

		require.NoError(t, <-r.hold(t.Context(), "a"))
		require.Error(t, stream.Err())
		done()

		_, _, _, err = r.EnterStream(t.Context())
		var down *DownError
		require.ErrorAs(t, err, &down)
	})
}

// TestEnterEnded checks that a call whose caller is gone is not admitted.
func TestEnterEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err := r.Enter(ctx)
		require.ErrorIs(t, err, context.Canceled)
	})
}

// TestHoldHonoursContext checks that a run that is cancelled does not hang, on
// whatever its hold waits, and that it then holds nothing back.
func TestHoldHonoursContext(t *testing.T) {
	cause := errors.New("cancelled")
	waits := map[string]func(t *testing.T, r *rig){
		"for a call": func(t *testing.T, r *rig) {
			_, done, err := r.Enter(t.Context())
			require.NoError(t, err)
			t.Cleanup(done)
		},
		"for an answer": func(_ *testing.T, r *rig) {
			r.asking = func(ctx context.Context, _ bool) {
				<-ctx.Done()
			}
		},
		"for the daemon to end": func(_ *testing.T, r *rig) {
			r.started.stubborn = true
		},
		"for another hold of its name": func(t *testing.T, r *rig) {
			r.started.stubborn = true
			first, cancel := context.WithCancel(t.Context())
			r.hold(first, "a")
			t.Cleanup(cancel)
		},
	}
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				daemon := r.started
				ctx, cancel := context.WithCancelCause(
					t.Context(),
				)
				wait(t, r)
				held := r.hold(ctx, "a")
				require.Empty(t, held)
				cancel(cause)
				require.ErrorIs(t, <-held, cause)

				r.Release("a")
				if r.Status().State == Stopping {
					daemon.end(nil)
				}
				r.requireState(t, Up, "")
			})
		})
	}
}

// TestAnswerIsBounded checks that a daemon that does not answer refuses the
// hold in the end.
func TestAnswerIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.asking = func(ctx context.Context, _ bool) { <-ctx.Done() }
		r.askErr = context.DeadlineExceeded
		begun := time.Now()
		var ask *AskError
		require.ErrorAs(t, <-r.hold(t.Context(), "a"), &ask)
		require.Equal(t, askLimit, time.Since(begun))
		r.requireState(t, Up, "")
	})
}

// TestReleasedWhileAsked checks that a release counts also before the hold is
// in force.
func TestReleasedWhileAsked(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		_, done, err := r.Enter(t.Context())
		require.NoError(t, err)
		held := r.hold(t.Context(), "a")
		r.Release("a")
		require.ErrorIs(t, <-held, ErrReleased)
		done()
		r.requireState(t, Up, "")
		require.Equal(t, 1, r.starts)
	})
}

// TestCrashWhileAsked checks that a daemon that dies under the question does
// not refuse the hold: its database is asked instead.
func TestCrashWhileAsked(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.asking = func(_ context.Context, up bool) {
			if up {
				r.started.end(errors.New("lnd went away"))
				synctest.Wait()
			}
		}
		require.NoError(t, r.Hold(t.Context(), Holder{Name: "a"}))
		time.Sleep(time.Hour)
		require.Equal(t, 1, r.starts)

		r.Release("a")
		synctest.Wait()
		require.Equal(t, 2, r.starts)
	})
}

// TestTwoHolds checks that two runs that hold side by side both have what they
// were promised: the daemon starts after the second release.
func TestTwoHolds(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		_, done, err := r.Enter(t.Context())
		require.NoError(t, err)
		a, again := r.hold(t.Context(), "a"), r.hold(t.Context(), "a")
		b := r.hold(t.Context(), "b")
		done()
		require.NoError(t, <-a)
		require.NoError(t, <-again)
		require.NoError(t, <-b)

		r.Release("a")
		r.requireState(t, Down, states.RecoveryActive)
		r.Release("b")
		r.requireState(t, Up, "")
	})
}

// TestRestarts checks that the daemon comes back after it ended by itself, as
// it does when lnd goes away, and that one that cannot be kept up ends the
// process, so that whoever supervises it takes notice.
func TestRestarts(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		die := func(err error) {
			r.started.end(err)
			synctest.Wait()
			time.Sleep(restartPause)
			synctest.Wait()
		}

		died := errors.New("lnd went away")
		for range maxFailures - 1 {
			die(died)
			r.requireState(t, Up, "")
		}

		// A daemon that was up for long begins a new count.
		time.Sleep(stableAfter + time.Second)
		for range maxFailures - 1 {
			die(nil)
			r.requireState(t, Up, "")
		}
		die(died)
		require.ErrorIs(t, <-r.ran, died)
	})
}

// TestRestartPause checks that the daemon is not started in a tight loop, and
// that the end of the process is not kept waiting by the pause.
func TestRestartPause(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.started.end(errors.New("lnd went away"))
		r.requireState(t, Down, states.Starting)
		time.Sleep(restartPause - time.Millisecond)
		r.requireState(t, Down, states.Starting)
		require.Equal(t, 1, r.starts)

		begun := time.Now()
		r.cancel()
		require.NoError(t, <-r.ran)
		require.Equal(t, begun, time.Now())
	})
}

// TestStopWithError checks that the error of a daemon that was told to stop
// does not count as a death.
func TestStopWithError(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.started.stopError = errors.New("connection closed")
		require.NoError(t, <-r.hold(t.Context(), "a"))
		r.Release("a")
		r.requireState(t, Up, "")
	})
}

// TestShutdown checks that the end of the process stops the daemon at once:
// nobody is asked, no call is waited for, and nothing is held any more.
func TestShutdown(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		_, done, err := r.Enter(t.Context())
		require.NoError(t, err)
		defer done()
		held := r.hold(t.Context(), "a")
		r.task = "swap 01"

		r.cancel()
		require.NoError(t, <-r.ran)
		require.Error(t, r.started.ctx.Err())
		require.ErrorIs(t, <-held, ErrEnded)
		require.ErrorIs(t, <-r.hold(t.Context(), "a"), ErrEnded)
	})
}

// TestShutdownWhileStarting checks that the end of the process is no failed
// start, whatever the start makes of it.
func TestShutdownWhileStarting(t *testing.T) {
	for _, known := range []bool{true, false} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.starting = func(ctx context.Context) (*fakeDaemon,
				error) {

				<-ctx.Done()
				if known {
					return nil, context.Cause(ctx)
				}
				return nil, errors.New("lnd: canceled")
			}
			r.Release("begin")
			synctest.Wait()
			r.cancel()
			require.NoError(t, <-r.ran)
			require.Equal(t, 1, r.starts)
		}, Holder{Name: "begin"})
	}
}

// TestDefaultClock checks that a gate needs no clock.
func TestDefaultClock(t *testing.T) {
	require.NotNil(t, New(Config[*fakeDaemon]{}).cfg.Clock)
}

// key is the type of context keys in the tests.
type key struct{}

// TestOutlive checks that a call that notices a deposit for the first time
// leaves a state machine behind that lives as long as the daemon.
func TestOutlive(t *testing.T) {
	daemon := newDaemon()
	daemon.ctx = context.WithValue(daemon.ctx, key{}, "daemon's")
	request, endRequest := context.WithCancel(
		context.WithValue(t.Context(), key{}, "request's"),
	)

	ctx := Outlive(request, daemon)
	endRequest()
	require.NoError(t, ctx.Err())
	require.Equal(t, "request's", ctx.Value(key{}))
	bare := Outlive(context.Background(), daemon)
	require.Equal(t, "daemon's", bare.Value(key{}))

	child, cancel := context.WithCancel(ctx)
	defer cancel()
	daemon.cancel()
	<-child.Done()
}
