package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// asLoop makes the test binary behave as the program itself, so that the tests
// below can watch a real process being replaced.
const asLoop = "LOOP_TEST_AS_LOOP"

func TestMain(m *testing.M) {
	if os.Getenv(asLoop) != "" {
		main()
	}

	os.Exit(m.Run())
}

// stub stands in for upstream's `loop`: it tells its arguments, copies its
// standard input, says something on standard error and exits with a code that
// nothing else uses.
const stub = `#!/bin/sh
printf '<%s>\n' "$@"
cat
echo complaint >&2
exit 37
`

// installStub writes the stub and returns its directory.
func installStub(t *testing.T) string {
	t.Helper()

	dir := t.TempDir()
	path := filepath.Join(dir, upstreamName)
	require.NoError(t, os.WriteFile(path, []byte(stub), 0700))

	return dir
}

// runProcess runs the program in a process of its own, with the stub in PATH.
func runProcess(t *testing.T, stubDir string, args ...string) result {
	t.Helper()

	self, err := os.Executable()
	require.NoError(t, err)

	var out, stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), self, args...)
	command.Env = append(
		os.Environ(), asLoop+"=1",
		"PATH="+stubDir+":"+os.Getenv("PATH"),
	)
	command.Stdin = strings.NewReader("typed\n")
	command.Stdout, command.Stderr = &out, &stderr

	err = command.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		require.NoError(t, err)
	}

	return result{
		code: command.ProcessState.ExitCode(), out: out.String(),
		err: stderr.String(),
	}
}

// foreignLines are command lines that upstream's `loop` answers.
var foreignLines = [][]string{
	{"getinfo"},
	{"out", "--amt", "500000", "--fast"},
	{"static", "listdeposits", "--filter", "deposited"},
	{"--network", "regtest", "getinfo"},
	{"--network=regtest", "getinfo"},
	{"-n", "regtest", "--rpcserver", "localhost:1", "terms"},
	{"-n=regtest", "terms"},
	{"--network=", "regtest", "terms"},
	{"--loopdir", "recover", "getinfo"},
	{"--macaroonpath", "backup", "listswaps", "recover"},
	{"getinfo", "recover"},
	{"getinfo", "--help"},
	{"setparams", "--recover"},
	{"quote", "out", "--", "recover"},
	{"", "recover"},
	{"in", "", "a b", "line\nfeed", "\"quoted\"", "*", "$HOME", "ünï"},
	{"--version"},
	{"-v"},
	{"--bogus", "recover"},
	{"--network"},
	{"help", "getinfo"},
	{"h", "out"},
	{"recovery"},
	{"Recover"},
	{"backups"},
	{"-", "recover"},
	{"listauth"},
	{"loop"},
}

// TestPassThrough checks that every command that is not ours reaches upstream's
// `loop` with its arguments, streams and exit code unchanged.
func TestPassThrough(t *testing.T) {
	stubDir := installStub(t)
	for _, args := range foreignLines {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			var want strings.Builder
			for _, arg := range args {
				fmt.Fprintf(&want, "<%s>\n", arg)
			}

			require.Equal(t, result{
				code: 37, out: want.String() + "typed\n",
				err: "complaint\n",
			}, runProcess(t, stubDir, args...))
		})
	}
}

// TestOwnCommands checks that our commands do not reach upstream's `loop`,
// wherever the global flags stand.
func TestOwnCommands(t *testing.T) {
	for _, args := range [][]string{
		{"recover", "--help"},
		{"recover", "status", "--help"},
		{"--network", "regtest", "recover", "--help"},
		{"--network=regtest", "recover", "--help"},
		{"-n", "getinfo", "recover", "--help"},
		{"-n=regtest", "--loopdir", "x", "backup", "--help"},
		{"--network=", "regtest", "backup", "list", "--help"},
		{"backup"},
		{"help", "recover"},
		{"h", "backup"},
		{"recover", "help"},
		{"recover", "help", "status"},
	} {
		var out, stderr bytes.Buffer
		a := testApp(&out, &stderr)
		code := a.run(
			context.Background(), append([]string{"loop"}, args...),
		)
		require.Equal(t, exitOK, code, "%v: %s", args, &stderr)
		require.Contains(t, out.String(), "USAGE:", args)
	}
}

// TestRootHelp checks that the help shows our commands first and then hands
// over to upstream's own help.
func TestRootHelp(t *testing.T) {
	stubDir := installStub(t)
	for _, args := range [][]string{
		{}, {"--help"}, {"-h"}, {"help"}, {"h"}, {"--help", "recover"},
		{"--network", "regtest"}, {"--network=regtest", "-help"},
	} {
		got := runProcess(t, stubDir, args...)
		require.Equal(t, 37, got.code)

		ours, theirs, found := strings.Cut(got.out, rootHelpNote)
		require.True(t, found, got.out)
		require.Contains(t, ours, "recover")
		require.Contains(t, ours, "backup")
		require.Contains(t, ours, "LOOPCLI_NETWORK")
		require.Equal(t, "<--help>\ntyped\n", theirs)
	}
}

// TestFindUpstream checks the order of the places that upstream's `loop` is
// looked for, and that this program never calls itself.
func TestFindUpstream(t *testing.T) {
	inPath := filepath.Join(installStub(t), upstreamName)
	lookPath := func(string) (string, error) {
		return inPath, nil
	}
	install := func(dir, name string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(name), 0700))

		return path
	}

	// Alone, what PATH has is used.
	dir := t.TempDir()
	self := install(dir, "loop")
	found, err := findUpstream(self, lookPath)
	require.NoError(t, err)
	require.Equal(t, inPath, found)

	// A directory of that name is not the program.
	beside := filepath.Join(dir, upstreamName)
	require.NoError(t, os.Mkdir(beside, 0700))
	found, err = findUpstream(self, lookPath)
	require.NoError(t, err)
	require.Equal(t, inPath, found)
	require.NoError(t, os.Remove(beside))

	// The one beside us wins, also if we were called by a link.
	install(dir, upstreamName)
	link := filepath.Join(t.TempDir(), "loop")
	require.NoError(t, os.Symlink(self, link))
	for _, called := range []string{self, link} {
		found, err = findUpstream(called, lookPath)
		require.NoError(t, err)
		require.Equal(t, beside, found)
	}

	// Renamed or linked to ourselves it would never end.
	require.NoError(t, os.Remove(beside))
	require.NoError(t, os.Symlink(self, beside))
	_, err = findUpstream(self, lookPath)
	require.ErrorIs(t, err, errSelf)

	require.NoError(t, os.Remove(beside))
	_, err = findUpstream(self, func(string) (string, error) {
		return link, nil
	})
	require.ErrorIs(t, err, errSelf)

	_, err = findUpstream(self, exec.LookPath)
	require.ErrorIs(t, err, exec.ErrNotFound)
}

// TestUpstreamMissing checks what a person is told whose installation lacks
// upstream's `loop`.
func TestUpstreamMissing(t *testing.T) {
	var out, stderr bytes.Buffer
	a := testApp(&out, &stderr)
	a.launch = func([]string) (int, error) {
		return 0, upstreamMissing(exec.ErrNotFound)
	}

	code := a.run(context.Background(), []string{"loop", "getinfo"})
	require.Equal(t, exitFailure, code)
	require.Empty(t, out.String())
	require.Contains(t, stderr.String(), upstreamName)
	require.Contains(t, stderr.String(), "next: ")
}
