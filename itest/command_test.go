package itest

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/stretchr/testify/require"
)

// upstreamCLI runs upstream's own command line against a daemon.
func (s *story) upstreamCLI(loopd *regtest.Loopd,
	args ...string) *regtest.CLIResult {

	s.Helper()

	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(
		s.Context(), filepath.Join(programs, "loop-upstream"),
		append(loopd.CLIFlags(), args...)...,
	)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr

	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(s, err)
	}

	return &regtest.CLIResult{
		Stdout: stdout.String(), Stderr: stderr.String(),
		ExitCode: cmd.ProcessState.ExitCode(),
	}
}

// TestStoryIUpstreamsCommands: a user goes on to type what upstream's
// documentation says, and so do scripts. If this breaks, whoever installs our
// command line loses upstream's.
func TestStoryIUpstreamsCommands(t *testing.T) {
	s := newStory(t)
	loopd := s.newLoopd(regtest.LoopdConfig{})
	s.start(loopd)
	deposits := s.pay(s.newAddress(loopd), 200_000)
	s.waitDeposits(loopd, deposits...)

	for _, args := range [][]string{
		{"static", "listdeposits"},
		{"getinfo"},
		{"static", "summary"},
		{"static", "listdeposits", "--nosuchflag"},
		{"swapinfo", "00"},
	} {
		want := s.upstreamCLI(loopd, args...)
		require.Equal(t, want, s.cli(loopd, args...), "%v", args)
		t.Logf("%v: exit code %d, %d bytes", args, want.ExitCode,
			len(want.Stdout)+len(want.Stderr))
	}

	// What is compared is what a user wants to see.
	listed := s.cli(loopd, "static", "listdeposits")
	require.Zero(t, listed.ExitCode)
	require.Contains(t, listed.Stdout, deposits[0].outpoint.String())
	require.NotZero(t, s.cli(
		loopd, "static", "listdeposits", "--nosuchflag",
	).ExitCode)
}
