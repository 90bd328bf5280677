package itest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
)

// maxSteps bounds the calls to lnd that a restore is held at, one after the
// other.
const maxSteps = 1_000

// statusPatience is how long a status may take on a busy machine. An answer
// that waits for lnd takes longer: none comes while its calls are held.
const statusPatience = 20 * time.Second

// revealing are the calls to lnd of which each state of a restore makes at
// least one: a run that is held at one of them stands still in its state.
var revealing = []string{
	"/signrpc.Signer/DeriveSharedKey",
	"/walletrpc.WalletKit/DeriveKey",
	"/walletrpc.WalletKit/ImportTapscript",
	"/chainrpc.ChainKit/GetBlock",
	"/chainrpc.ChainKit/GetBestBlock",
}

// isRevealing says whether a method is one of revealing.
func isRevealing(method string) bool {
	return slices.Contains(revealing, method)
}

// newProxied describes a daemon, with further options, behind a proxy to the
// client's lnd.
func (s *story) newProxied(options ...string) (*regtest.Loopd,
	*regtest.LndProxy) {

	s.Helper()

	proxy, err := s.Client.NewProxy()
	require.NoError(s, err)
	s.Cleanup(func() { require.NoError(s, proxy.Stop()) })

	return s.newLoopd(regtest.LoopdConfig{
		ExtraArgs: append(
			[]string{"--lnd.host=" + proxy.Address()}, options...,
		),
	}), proxy
}

// TestStoryHStatus: a user asks how the recovery is. If this breaks, the answer
// is a hang or a wrong one at the moment when somebody sits in front of it and
// decides whether to pull the plug.
func TestStoryHStatus(t *testing.T) {
	s := newStory(t)
	loopd, proxy := s.newProxied()
	s.start(loopd)
	deposits := s.pay(s.newAddress(loopd), 200_000)
	s.waitDeposits(loopd, deposits...)
	saved := s.backup(loopd)
	s.lose(loopd)

	s.start(loopd)
	s.says(loopd, 0, "none was begun")
	result := s.cli(loopd, "recover")
	require.Equal(t, exitBlocked, result.ExitCode)
	s.says(loopd, exitBlocked, string(states.Blocked))
	require.Zero(t, s.cli(loopd, "recover", "cancel").ExitCode)
	s.says(loopd, exitCancelled, string(states.Cancelled))

	// In every state, with lnd's answer held back.
	result = s.cli(loopd, "backup", "import", s.keep(saved))
	require.Zero(t, result.ExitCode, "%s%s", result.Stdout, result.Stderr)
	proxy.Hold(isRevealing)
	result = s.cli(loopd, "recover", "--detach")
	require.Zero(t, result.ExitCode, "%s%s", result.Stdout, result.Stderr)
	seen := s.stepThrough(loopd, proxy)
	for _, state := range states.RestoreTable().Path {
		require.Contains(t, seen, string(state))
	}
	proxy.Open()
	s.waitReconciled(loopd)
	s.says(loopd, 0, string(states.Reconciled))
	s.waitDeposits(loopd, deposits...)

	// lnd goes down, and later loopd as well.
	require.NoError(t, s.Client.Stop())
	s.says(loopd, 0, string(states.Reconciled))
	s.waitRecovery(loopd, "the swap client to be down",
		func(resp *recoveryrpc.GetRecoveryResponse) bool {
			return resp.Daemon.Reason == string(states.LndDown)
		})
	s.says(loopd, 0, string(states.LndDown))
	s.stop(loopd)

	// A locked lnd gives nobody away: who asks cannot be known.
	require.NoError(t, s.Client.StartLocked(t.Context()))
	s.startListening(loopd)
	s.saysLocked(loopd)
	require.NoError(t, s.Client.Unlock(t.Context()))
	require.NoError(t, loopd.WaitReady(t.Context()))
	s.says(loopd, 0, string(states.Reconciled))
	s.waitDeposits(loopd, deposits...)
}

// says checks that the status answers soon, with the exit code, and names the
// state.
func (s *story) says(loopd *regtest.Loopd, exitCode int, state string) {
	s.Helper()

	began := time.Now()
	result := s.cli(loopd, "recover", "--status")
	require.Less(s, time.Since(began), statusPatience, "it waited")
	require.Equal(s, exitCode, result.ExitCode, "%s%s", result.Stdout,
		result.Stderr)
	require.Contains(s, result.Stdout, state)
}

// stepThrough leads a run that is held at its calls to lnd to its end, call by
// call, and asks for its status in every state. It returns the states.
func (s *story) stepThrough(loopd *regtest.Loopd,
	proxy *regtest.LndProxy) []string {

	s.Helper()

	var seen []string
	for range maxSteps {
		run := s.waitHeldOrEnd(loopd, proxy)
		if run.Finished {
			return seen
		}
		if !slices.Contains(seen, run.State) {
			seen = append(seen, run.State)
			s.says(loopd, 0, run.State)
		}
		proxy.Step()
	}
	require.Fail(s, "the recovery does not end", "after %d calls", maxSteps)

	return nil
}

// waitHeldOrEnd waits until the proxy holds a call or the run has ended, and
// returns the run.
func (s *story) waitHeldOrEnd(loopd *regtest.Loopd,
	proxy *regtest.LndProxy) *recoveryrpc.Run {

	s.Helper()

	var run *recoveryrpc.Run
	err := regtest.Eventually(s.Context(), "a held call or the end",
		regtest.DefaultTimeout, func(ctx context.Context) error {
			held := len(proxy.Held()) > 0
			run = s.promptly(ctx, loopd)
			if !held && !run.Finished {
				return fmt.Errorf("%w: %s", errNotYet,
					run.State)
			}

			return nil
		})
	require.NoError(s, err)

	return run
}

// promptly returns the latest run and fails if the answer waits for anything.
func (s *story) promptly(ctx context.Context,
	loopd *regtest.Loopd) *recoveryrpc.Run {

	s.Helper()

	ctx, cancel := context.WithTimeout(ctx, statusPatience)
	defer cancel()
	resp, err := recovery(ctx, loopd)
	require.NoError(s, err)

	return resp.Run
}

// saysLocked checks that a daemon whose lnd was not unlocked yet says so, to
// our command line and to programs, and says nothing else.
func (s *story) saysLocked(loopd *regtest.Loopd) {
	s.Helper()

	err := regtest.Eventually(s.Context(), "the locked lnd to be noticed",
		regtest.DefaultTimeout, func(ctx context.Context) error {
			_, err := recovery(ctx, loopd)
			reason, _ := recoveryrpc.ReasonOf(err)
			if reason != states.LndLocked {
				return fmt.Errorf("%w: %v", errNotYet, err)
			}

			return nil
		})
	require.NoError(s, err)

	resp, err := recovery(s.Context(), loopd)
	s.refused(err, codes.Unavailable, states.LndLocked)
	require.Nil(s, resp)
	_, err = listDeposits(s.Context(), loopd)
	s.refused(err, codes.Unavailable, states.LndLocked)

	result := s.cli(loopd, "recover", "--status")
	require.Equal(s, exitConnection, result.ExitCode)
	require.Empty(s, result.Stdout)
	locked := states.Explain(states.LndLocked)
	require.Contains(s, result.Stderr, locked.Sentence)
	require.Contains(s, result.Stderr, locked.Next)
}
