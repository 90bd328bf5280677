package itest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/stretchr/testify/require"
)

// maxWorlds is how many networks there are at once, and so how many stories are
// told side by side: two cores carry two.
const maxWorlds = 2

// world is a network that stories take turns on. To start one takes longer than
// most stories do.
type world struct {
	*regtest.Network

	dir    string
	logDir string
}

var (
	// worlds holds the worlds that no story uses; nil stands for one that
	// was not started yet.
	worlds = newWorlds()

	// worldCount numbers the worlds.
	worldCount atomic.Int32
)

// newWorlds returns a pool of worlds that were not started yet.
func newWorlds() chan *world {
	pool := make(chan *world, maxWorlds)
	for range maxWorlds {
		pool <- nil
	}

	return pool
}

// startWorld starts a network whose static addresses time out after the given
// number of blocks, 0 being the default.
func startWorld(ctx context.Context, expiry uint32) (*world, error) {
	dir := filepath.Join(
		worldRoot, fmt.Sprintf("%d", worldCount.Add(1)),
	)
	w := &world{dir: dir, logDir: filepath.Join(dir, "logs")}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}

	var err error
	w.Network, err = regtest.NewNetwork(ctx, regtest.Config{
		BinDir: programs, BaseDir: dir, LogDir: w.logDir,
		Expiry: expiry,
	})
	if err != nil {
		return nil, fmt.Errorf("%w (logs in %s)", err, w.logDir)
	}

	return w, nil
}

// stopWorlds ends every world. No story is running any more.
func stopWorlds() error {
	var errs []error
	for range maxWorlds {
		if w := <-worlds; w != nil {
			errs = append(errs, w.Stop())
		}
	}

	return errors.Join(errs...)
}

// story is what a test of this package works with. It has a world of its own
// while it lasts.
type story struct {
	*testing.T
	*regtest.Network

	world   *world
	scratch string
	secrets secrets
	loopds  []*regtest.Loopd
	lnds    []*regtest.Lnd

	databases []*regtest.Postgres
}

// newStory begins a story, beside others. When it ends, everything it started
// is stopped, and what it left behind is searched for secrets. The logs are
// kept if it fails or if KEEP_LOGS is set.
func newStory(t *testing.T) *story {
	t.Helper()
	t.Parallel()

	w := <-worlds
	t.Cleanup(func() { endWorld(t, w) })
	if w == nil {
		var err error
		w, err = startWorld(t.Context(), 0)
		require.NoError(t, err)
	}

	return tell(t, w)
}

// newLongStory begins a story that takes so many blocks that it needs a world
// for itself, in which static addresses time out after the given number of
// blocks. No other story is told meanwhile, so that it can measure times.
func newLongStory(t *testing.T, expiry uint32) *story {
	t.Helper()

	w, err := startWorld(t.Context(), expiry)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() || os.Getenv(keepLogsVariable) != "" {
			keepLogs(t, w)
		}
		require.NoError(t, w.Stop())
	})

	return tell(t, w)
}

// tell begins a story in a world.
func tell(t *testing.T, w *world) *story {
	t.Helper()

	require.NoError(t, os.RemoveAll(filepath.Join(logRoot, t.Name())))
	s := &story{
		T: t, Network: w.Network, world: w,
		scratch: filepath.Join(scratchRoot, t.Name()),
	}
	require.NoError(t, os.Mkdir(s.scratch, 0o700))
	t.Cleanup(s.end)
	s.ready()

	return s
}

// ready makes sure that the client's lnd can pay: the story before may have
// restarted it.
func (s *story) ready() {
	s.Helper()

	if !s.Client.Running() {
		require.NoError(s, s.Client.Start(s.Context()))
	}
	_, err := s.Mine(s.Context(), 1)
	require.NoError(s, err)
	require.NoError(s, s.WaitPayable(s.Context(), s.Client))
}

// end stops what the story started and searches it for secrets.
func (s *story) end() {
	if s.Failed() {
		s.lastWords()
	}
	for _, loopd := range s.loopds {
		require.NoError(s, loopd.Stop())
	}
	for _, lnd := range s.lnds {
		require.NoError(s, lnd.Stop())
	}
	for _, server := range s.databases {
		require.NoError(s, server.Stop())
	}
	s.checkSecrets()
	for _, server := range s.databases {
		require.NoError(s, server.Destroy())
	}
	require.NoError(s, os.RemoveAll(s.scratch))
}

// lastWordsSize is how much of a log is printed when a story fails, in bytes.
const lastWordsSize = 6_000

// lastWords prints the ends of the daemons' logs: where a story fails on a
// machine that is not one's own, these may be all that is left of it.
func (s *story) lastWords() {
	for _, loopd := range s.loopds {
		from := max(0, logSize(loopd)-lastWordsSize)
		s.Logf("%s:\n%s", loopd.LogPath(), s.logSince(loopd, from))
	}
}

// endWorld keeps a story's logs if they are wanted and gives its world back. A
// world in which a story failed is not used again.
func endWorld(t *testing.T, w *world) {
	if w == nil {
		worlds <- nil

		return
	}
	if t.Failed() || os.Getenv(keepLogsVariable) != "" {
		keepLogs(t, w)
	}
	if t.Failed() {
		require.NoError(t, w.Stop())
		w = nil
	}
	worlds <- w
}

// keepLogs copies a world's logs to the story's directory below logRoot.
func keepLogs(t *testing.T, w *world) {
	dir, err := filepath.Abs(filepath.Join(logRoot, t.Name()))
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, os.CopyFS(dir, os.DirFS(w.logDir)))
	t.Logf("the logs are in %s", dir)
}

// name makes a name unique in the world by putting the story's in front.
func (s *story) name(of string) string {
	return strings.ToLower(strings.TrimPrefix(s.Name(), "Test")) + "-" + of
}
