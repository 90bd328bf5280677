package itest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/stretchr/testify/require"
)

// patient is a loopd that gets into trouble. It has a directory of its own and
// shares the nodes with others.
type patient struct {
	*story

	*regtest.Loopd

	// args are the options of ours for this trouble.
	args []string

	// aside is a directory for what a trouble moves away, or brings.
	aside string

	// lnd is the patient's own lnd, or nil.
	lnd *regtest.Lnd

	// other is a second daemon that is part of the trouble, or nil.
	other *patient

	// database is the patient's own database server, or nil.
	database *regtest.Postgres

	// logFrom is where in the log the present life begins, in bytes.
	logFrom int64
}

// newPatient returns a daemon that was never started.
func newPatient(t *testing.T, s *story, name string) *patient {
	t.Helper()

	sub := *s
	sub.T, sub.loopds = t, nil
	loopd, err := s.NewLoopd(regtest.LoopdConfig{
		Name: "trouble-" + name,
	})
	require.NoError(t, err)
	p := &patient{
		story: &sub, Loopd: loopd,
		aside: filepath.Join(s.scratch, name),
	}
	require.NoError(t, os.MkdirAll(p.aside, 0o700))
	t.Cleanup(func() { require.NoError(t, loopd.Stop()) })

	return p
}

// Context is that of the test.
func (p *patient) Context() context.Context {
	return p.T.Context()
}

// path is a file in the data directory.
func (p *patient) path(name string) string {
	return filepath.Join(p.DataDir(), name)
}

// place is a directory outside of it, such as a backup place.
func (p *patient) place(name string) string {
	return filepath.Join(p.aside, name)
}

// write puts bytes into a file of the data directory.
func (p *patient) write(name string, data []byte) {
	p.Helper()
	require.NoError(p, os.MkdirAll(p.DataDir(), 0o700))
	require.NoError(p, os.WriteFile(p.path(name), data, 0o600))
}

// remove removes files of the data directory.
func (p *patient) remove(names ...string) {
	p.Helper()
	for _, name := range names {
		require.NoError(p, os.Remove(p.path(name)))
	}
}

// putBack brings back the copy of a file, over whatever is there.
func (p *patient) putBack(name string) {
	p.Helper()
	require.NoError(p, os.RemoveAll(p.path(name)))
	require.NoError(p, os.Rename(
		filepath.Join(p.aside, name), p.path(name),
	))
}

// launch starts the daemon, watched, and waits for nothing.
func (p *patient) launch() {
	p.Helper()

	p.logFrom = logSize(p.Loopd)
	args := append(append([]string{}, ourArgs...), p.args...)
	require.NoError(p, p.LaunchWatched(p.watchFile(), args...))
}

// watchFile is where the daemon writes how many goroutines it has.
func (p *patient) watchFile() string {
	return filepath.Join(p.aside, "goroutines")
}

// healthy makes a daemon that has a token and an address, stopped.
func healthy(p *patient) {
	p.Helper()
	tokenAlone(p)
	p.launch()
	require.NoError(p, p.WaitReady(p.Context()))
	p.newAddress(p.Loopd)
	require.NoError(p, p.Stop())
}

// tokenAlone makes a daemon that has a token and no address, stopped.
func tokenAlone(p *patient) {
	p.Helper()
	p.launch()
	require.NoError(p, p.WaitReady(p.Context()))
	p.fetchToken(p.Loopd)
	require.NoError(p, p.Stop())
}

// empty leaves the directory as it is before the first start.
func empty(*patient) {}

// up reports whether the swap client answers, and why not.
func (p *patient) up() error {
	if !p.Running() {
		return errNotYet
	}

	return p.Swap(func(client looprpc.SwapClientClient) error {
		ctx, cancel := context.WithTimeout(p.Context(), 5*time.Second)
		defer cancel()
		_, err := client.GetInfo(ctx, &looprpc.GetInfoRequest{})

		return err
	})
}

// waitUp waits until the swap client answers and returns how long that took.
func (p *patient) waitUp(limit time.Duration) time.Duration {
	p.Helper()

	began := time.Now()
	err := regtest.Eventually(p.Context(), p.Name()+": the swap client",
		limit, func(context.Context) error { return p.up() })
	require.NoError(p, err)

	return time.Since(began)
}

// daemonReason returns the reason that the status gives, also to a caller that
// nobody can authenticate yet.
func (p *patient) daemonReason() string {
	resp, err := recovery(p.Context(), p.Loopd)
	if err != nil {
		reason, _ := recoveryrpc.ReasonOf(err)
		return string(reason)
	}

	return resp.GetDaemon().GetReason()
}

// log returns the log of the present life.
func (p *patient) log() string {
	p.Helper()

	return p.logSince(p.Loopd, p.logFrom)
}

// vitals is what a daemon takes of the machine at one moment.
type vitals struct {
	handles    int
	sockets    int
	goroutines int
	warnings   int
	sessions   int
}

// vitals measures a running daemon.
func (p *patient) vitals() vitals {
	p.Helper()

	var result vitals
	dir := fmt.Sprintf("/proc/%d/fd", p.Pid())
	entries, err := os.ReadDir(dir)
	require.NoError(p, err)
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(dir, entry.Name()))
		if err != nil {
			continue
		}
		result.handles++
		if strings.HasPrefix(target, "socket:") {
			result.sockets++
		}
	}

	text, err := os.ReadFile(p.watchFile())
	require.NoError(p, err)
	count, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err == nil {
		result.goroutines = count
	}
	log := p.log()
	result.warnings = strings.Count(log, "[WRN]") +
		strings.Count(log, "[ERR]")

	result.sessions = p.sessions()

	return result
}

// String tells the measures.
func (v vitals) String() string {
	return fmt.Sprintf("%d handles, %d sockets, %d goroutines, "+
		"%d warnings, %d sessions", v.handles, v.sockets, v.goroutines,
		v.warnings, v.sessions)
}
