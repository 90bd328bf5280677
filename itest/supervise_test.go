package itest

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// restartPause is how long the supervisor waits before it starts a process
// again.
const restartPause = 200 * time.Millisecond

// TestSupervised: a node distribution starts loopd under a supervisor, which
// knows no more than exit codes. If this breaks, it shows a green light for a
// loopd that waits for somebody to mend its macaroon.
func TestSupervised(t *testing.T) {
	s := newStory(t)
	p := newPatient(t, s, "supervised")
	path := p.place("macaroon")
	p.args = []string{
		"--recovery.exit_on_permanent", "--lnd.macaroonpath=" + path,
	}

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan []int)
	go func() { ended <- p.supervise(ctx) }()

	// It ends, with the exit code and one line that names the cause.
	err := regtest.Eventually(t.Context(), "two ends",
		regtest.DefaultTimeout, func(context.Context) error {
			if p.ends() < 2 {
				return errNotYet
			}

			return nil
		})
	require.NoError(t, err)

	copyTo(p, p.Client.MacaroonPath(), path)
	p.waitUp(mendTime)
	cancel()
	require.NoError(t, p.Stop())
	codes := <-ended
	require.GreaterOrEqual(t, len(codes), 2)
	for _, code := range codes[:len(codes)-1] {
		require.Equal(t, 1, code)
	}
}

// ends counts the lives that ended with the cause in the log.
func (p *patient) ends() int {
	// Before the first life there is no log.
	log, _ := os.ReadFile(p.LogPath())

	return strings.Count(
		string(log), "Exiting: "+string(states.LndRefuses),
	)
}

// supervise starts the daemon again whenever it has ended, and returns the exit
// codes. The last one is that of the end of the context.
func (p *patient) supervise(ctx context.Context) []int {
	var codes []int
	for ctx.Err() == nil {
		args := append(append([]string{}, ourArgs...), p.args...)
		if err := p.Launch(nil, args...); err != nil {
			return append(codes, -1)
		}
		for p.Running() {
			<-time.After(restartPause)
		}
		codes = append(codes, p.ExitCode())
	}

	return codes
}
