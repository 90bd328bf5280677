package itest

import (
	"regexp"
	"testing"

	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// supervisedLives is how often a supervisor starts the daemon in vain.
const supervisedLives = 2

// errorLine is a line of the log that is an error, or worse.
var errorLine = regexp.MustCompile(`(?m)^.*\[(?:ERR|CRT)\].*$`)

// TestSupervised: a node distribution starts loopd under a supervisor, which
// knows no more than exit codes. If this breaks, it shows a green light for a
// loopd that waits for somebody to mend its macaroon, or its log tells one
// cause again and again.
func TestSupervised(t *testing.T) {
	s := newStory(t)
	p := newPatient(t, s, "supervised")
	path := p.place("macaroon")
	p.args = []string{
		"--recovery.exit_on_permanent", "--lnd.macaroonpath=" + path,
	}

	// Each life ends with the exit code and one line that names the cause.
	for range supervisedLives {
		p.launch()
		require.NoError(t, p.WaitExit(regtest.DefaultTimeout))
		require.Equal(t, 1, p.ExitCode())
		errors := errorLine.FindAllString(p.log(), -1)
		require.Len(t, errors, 1, "%q", errors)
		require.Contains(t, errors[0], states.LndRefuses)
		require.Contains(t, errors[0], path)
	}

	copyTo(p, p.Client.MacaroonPath(), path)
	p.launch()
	p.waitUp(mendTime)
	require.NoError(t, p.Stop())
	require.Zero(t, p.ExitCode())
}
