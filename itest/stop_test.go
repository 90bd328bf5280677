package itest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// stopPatience is how long a daemon may take to end, and a run to be cancelled.
const stopPatience = 3 * time.Second

// stopTimes are the times that a story measured, and of what.
type stopTimes struct {
	*story

	lines []string
}

// took notes a time and checks that it is short enough.
func (m *stopTimes) took(what string, took time.Duration) {
	m.Helper()

	m.lines = append(m.lines, fmt.Sprintf(
		"%5d ms  %s", took.Milliseconds(), what,
	))
	require.Less(m, took, stopPatience, what)
}

// stop ends a daemon with SIGTERM and notes how long that took.
func (m *stopTimes) stop(loopd *regtest.Loopd, what string) {
	m.Helper()

	began := time.Now()
	require.NoError(m, loopd.Stop())
	m.took("SIGTERM, "+what, time.Since(began))
}

// cancel cancels the latest run and notes how long it took until the run had
// ended.
func (m *stopTimes) cancel(loopd *regtest.Loopd, what string) {
	m.Helper()

	conn, err := loopd.Dial()
	require.NoError(m, err)
	defer conn.Close()
	began := time.Now()
	resp, err := recoveryrpc.NewRecoveryClient(conn).CancelRecovery(
		m.Context(), &recoveryrpc.CancelRecoveryRequest{},
	)
	took := time.Since(began)
	require.NoError(m, err)
	require.Equal(m, string(states.Cancelled), resp.Run.State)
	require.True(m, resp.Run.Finished)
	m.took("Cancel, "+what, took)
}

// TestStopsInTime measures how long SIGTERM and Cancel take in every state of a
// restore, with the call to lnd held that the state is at, and of loopd around
// it. If this breaks, a service manager kills loopd at every restart, and
// somebody who gave up a recovery does not know whether it heard.
func TestStopsInTime(t *testing.T) {
	s := newStory(t)
	m := &stopTimes{story: s}
	loopd, proxy := s.newProxied()
	s.start(loopd)
	deposits := s.pay(s.newAddress(loopd), 200_000)
	s.waitDeposits(loopd, deposits...)
	saved := s.backup(loopd)
	m.stop(loopd, "swap client up")

	m.stopWhileStarting(loopd, proxy)
	s.lose(loopd)
	for _, state := range states.RestoreTable().Path {
		s.plant(loopd, saved)
		proxy.Hold(holdsFor(state))
		s.startListening(loopd)
		s.holdIn(loopd, proxy, state)
		m.stop(loopd, string(state))

		s.startListening(loopd)
		s.holdIn(loopd, proxy, state)
		m.cancel(loopd, string(state))
		s.lose(loopd)
		proxy.Open()
	}

	s.plant(loopd, corrupt(saved))
	s.start(loopd)
	m.stop(loopd, "no backup that fits")
	require.NoError(t, s.Client.Stop())
	s.startListening(loopd)
	m.stop(loopd, "lnd down")
	require.NoError(t, s.Client.StartLocked(t.Context()))
	s.startListening(loopd)
	s.saysLocked(loopd)
	m.stop(loopd, "lnd locked")
	require.NoError(t, s.Client.Unlock(t.Context()))
	t.Logf("\n%s", strings.Join(m.lines, "\n"))
}

// stopWhileStarting stops a daemon at each of the calls to lnd that it makes
// until the swap client is up.
func (m *stopTimes) stopWhileStarting(loopd *regtest.Loopd,
	proxy *regtest.LndProxy) {

	m.Helper()

	for calls := 0; ; calls++ {
		require.Less(m, calls, maxSteps)
		proxy.Hold(func(string) bool { return true })
		m.startListening(loopd)
		if !m.passCalls(loopd, proxy, calls) {
			proxy.Open()
			require.NoError(m, loopd.Stop())
			return
		}
		held := strings.Join(proxy.Held(), " ")
		m.stop(loopd, fmt.Sprintf("at start, %s", held))
	}
}

// passCalls lets a daemon that starts go on until it stands at a call to lnd
// after so many others. It reports false if the swap client was up before.
func (m *stopTimes) passCalls(loopd *regtest.Loopd, proxy *regtest.LndProxy,
	calls int) bool {

	m.Helper()

	for passed := 0; ; passed++ {
		up := false
		err := regtest.Eventually(m.Context(), "a call to lnd",
			regtest.DefaultTimeout,
			func(ctx context.Context) error {
				if len(proxy.Held()) > 0 {
					return nil
				}
				resp, err := recovery(ctx, loopd)
				up = err == nil && resp.Daemon.State ==
					recoveryrpc.DaemonState_DAEMON_UP
				if !up {
					return errNotYet
				}

				return nil
			})
		require.NoError(m, err)
		if up || passed == calls {
			return !up
		}
		proxy.Step()
	}
}
