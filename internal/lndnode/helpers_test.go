package lndnode

import (
	"bytes"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btclog/v2"
	"github.com/lightningnetwork/lnd/lnrpc/verrpc"
	"github.com/looprecovery/looprecovery/internal/testkit/fakelnd"
	"github.com/looprecovery/looprecovery/internal/testkit/handles"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// testTimeout bounds every wait.
const testTimeout = 30 * time.Second

// testVersion is the oldest lnd that will do.
var testVersion = &verrpc.Version{
	AppMinor: 18, AppPatch: 4, BuildTags: []string{"signrpc", "walletrpc"},
}

// startLnd starts an lnd and returns how to reach it.
func startLnd(t *testing.T) (*fakelnd.Lnd, Config) {
	t.Helper()

	lnd, err := fakelnd.Start(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(lnd.Stop)

	return lnd, Config{
		Host: lnd.Address(), TLSPath: lnd.TLSPath(),
		MacaroonPath: lnd.MacaroonPath(), RPCTimeout: 5 * time.Second,
		Network: "regtest", MinVersion: testVersion,
	}
}

// newNode returns a node.
func newNode(t *testing.T, cfg Config) *Node {
	t.Helper()

	node, err := New(cfg)
	require.NoError(t, err)
	node.interval = 20 * time.Millisecond

	return node
}

// connected returns a node with a connection of its own.
func connected(t *testing.T) (*fakelnd.Lnd, *Node) {
	t.Helper()

	lnd, cfg := startLnd(t)
	node := newNode(t, cfg)
	require.NoError(t, node.Connect(t.Context(), nil))
	t.Cleanup(node.Close)

	return lnd, node
}

// requirePermanent checks that an error is permanent, for a reason, and that it
// names what it is about.
func requirePermanent(t *testing.T, err error, reason states.Reason,
	about string) {

	t.Helper()

	var permanent *states.PermanentError
	require.ErrorAs(t, err, &permanent)
	require.Equal(t, reason, permanent.Reason, "%v", err)
	require.Contains(t, err.Error(), about)
}

// requireTransient checks that an error may pass by itself, and its reason.
func requireTransient(t *testing.T, err error, reason states.Reason) {
	t.Helper()

	got, ok := states.TransientReason(err)
	require.True(t, ok, "%v", err)
	require.Equal(t, reason, got, "%v", err)
}

// leavesNothing checks that a step, repeated often, leaves neither a handle nor
// a goroutine behind: in an outage of a day a step fails 86,400 times.
func leavesNothing(t *testing.T, times int, step func()) {
	t.Helper()

	step()
	files, routines := handles.Open(t), runtime.NumGoroutine()
	for range times {
		step()
	}
	// What ends with a connection takes a moment; a leak is one a step.
	slack, deadline := times/2, time.Now().Add(testTimeout)
	for handles.Open(t) > files+slack ||
		runtime.NumGoroutine() > routines+slack {

		require.True(t, time.Now().Before(deadline), "%d handles and "+
			"%d goroutines, before %d and %d", handles.Open(t),
			runtime.NumGoroutine(), files, routines)
		time.Sleep(time.Millisecond)
	}
}

// logLines collects the lines of the package's log.
type logLines struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write implements io.Writer.
func (l *logLines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.buffer.Write(line)
}

// all returns the lines.
func (l *logLines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()

	text := strings.TrimSpace(l.buffer.String())
	if text == "" {
		return nil
	}

	return strings.Split(text, "\n")
}

// captureLog collects the lines of the package's log during a test.
func captureLog(t *testing.T) *logLines {
	t.Helper()

	before, lines := log, &logLines{}
	UseLogger(btclog.NewSLogger(btclog.NewDefaultHandler(
		lines, btclog.WithNoTimestamp(),
	)))
	t.Cleanup(func() { UseLogger(before) })

	return lines
}
