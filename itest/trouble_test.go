package itest

import (
	"context"
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

const (
	// troublesAtOnce is how many daemons are in trouble side by side.
	troublesAtOnce = 4

	// shortWatch is how long a daemon in trouble is watched for leaks by
	// `make test`; `make trouble` watches for minutes.
	shortWatch = 10 * time.Second

	// settleTime is how long a daemon may take to come to rest in its
	// trouble, before it is watched.
	settleTime = 10 * time.Second

	// mendTime is how long it may take until the swap client is up after
	// the cause is gone: what is permanent is looked at once a minute.
	mendTime = 90 * time.Second

	// upstreamLead is how much later than upstream's the swap client may
	// be up in a trouble that upstream survives.
	upstreamLead = 2 * time.Second

	// slack is how many handles, sockets and goroutines a daemon may have
	// more at the end of the watch: calls of its nodes come and go.
	slack = 6

	// warningsPerMinute is how many warnings a daemon in trouble may log.
	warningsPerMinute = 4
)

// troubleFlag selects all troubles: see `make trouble`.
var troubleFlag = flag.Bool("trouble", false, "all troubles, not a few")

// watchFlag is how long a daemon in trouble is watched.
var watchFlag = flag.Duration("watch", shortWatch, "how long one is watched")

// troubled is the last line of `make trouble`, once all troubles have passed.
var troubled string

// trouble is something that goes wrong with a loopd, and what its user then
// sees, is told to type, and gets.
type trouble struct {
	// name names it.
	name string

	// brief says that it is one of `make test`.
	brief bool

	// before makes what is in the directory: empty, tokenAlone, healthy.
	before func(*patient)

	// running says that the cause comes while the swap client is up.
	running bool

	// cause is what goes wrong, mend takes it away.
	cause, mend func(*patient)

	// want is what the user sees.
	want symptoms
}

// symptoms are what a user sees of a trouble.
type symptoms struct {
	// up says that the swap client runs in spite of it, as upstream's
	// would.
	up bool

	// exits says that the process ends with the exit code 1, as upstream's
	// does.
	exits bool

	// reason is why the swap client is not up.
	reason states.Reason

	// warning is the code of a warning in the status.
	warning states.Warning

	// log is what a line of the log says, as a regular expression; it says
	// so once, unless often.
	log   string
	often bool

	// status is the exit code of `loop recover status`.
	status int

	// typed are the commands that the status tells to type, each with its
	// exit code, typed before the cause is gone; then is the same after.
	typed, then []typing
}

// typing is a command as printed and its exit code.
type typing struct {
	command string
	exit    int
}

// TestTrouble gets a daemon into each trouble, looks at what its user sees,
// types what he is told, watches that nothing leaks, takes the cause away, and
// waits for the swap client. If this breaks, somebody's swaps stand still
// without a word, or with one that leads nowhere.
func TestTrouble(t *testing.T) {
	chosen := slices.DeleteFunc(troubles(), func(one trouble) bool {
		return !*troubleFlag && !one.brief
	})
	s := newStory(t)
	turns := make(chan struct{}, troublesAtOnce)
	var passed, circles atomic.Int32

	t.Run("all", func(t *testing.T) {
		for _, one := range chosen {
			t.Run(one.name, func(t *testing.T) {
				t.Parallel()
				turns <- struct{}{}
				defer func() { <-turns }()

				suffer(t, s, one, &circles)
				passed.Add(1)
			})
		}
	})
	// Who selects some of them by name gets no last line.
	if *troubleFlag && int(passed.Load()) == len(chosen) {
		troubled = fmt.Sprintf("trouble: %d of %d, 0 leaks, %d circles",
			passed.Load(), len(chosen), circles.Load())
	}
}

// suffer lets a daemon go through one trouble.
func suffer(t *testing.T, s *story, one trouble, circles *atomic.Int32) {
	p := newPatient(t, s, one.name)
	one.before(p)
	var upstream time.Duration
	if one.want.up && !one.running {
		upstream = p.timeUpstream(one)
	}
	if one.running {
		p.launch()
		require.NoError(t, p.WaitReady(p.Context()))
	}
	one.cause(p)
	if !one.running {
		p.launch()
	}

	if one.want.exits {
		require.NoError(t, p.WaitExit(settleTime))
		require.Equal(t, 1, p.ExitCode())
		p.checkLog(one.want)
		one.mend(p)
		p.launch()
		p.waitUp(mendTime)

		return
	}
	if one.want.up {
		took := p.waitUp(mendTime)
		if !one.running {
			t.Logf("up after %v, upstream after %v", took, upstream)
			require.Less(t, took, upstream+upstreamLead)
		}
	}
	p.examine(one.want)
	p.watch()
	p.typeAll(one.want.typed, circles)
	one.mend(p)
	p.typeAll(one.want.then, circles)
	p.waitUp(mendTime)
}

// timeUpstream returns how long upstream's own loopd takes until it answers in
// the same trouble, on a directory of the same kind.
func (p *patient) timeUpstream(one trouble) time.Duration {
	p.Helper()

	twin := newPatient(p.T, p.story, one.name+"-upstream")
	one.before(twin)
	one.cause(twin)
	twin.SetBinary(regtest.UpstreamBinary)
	require.NoError(p, twin.Launch(nil))
	took := twin.waitUp(mendTime)
	require.NoError(p, twin.Stop())

	return took
}

// examine looks at what the user sees until it is what is wanted.
func (p *patient) examine(want symptoms) {
	p.Helper()

	err := regtest.Eventually(p.Context(), "the symptoms", mendTime,
		func(ctx context.Context) error {
			if want.reason == "" {
				return nil
			}
			if got := p.daemonReason(); got != string(want.reason) {
				return fmt.Errorf("%w: reason %q, wanted %q",
					errNotYet, got, want.reason)
			}

			return nil
		})
	require.NoError(p, err)
	if want.warning != "" {
		p.waitWarning(want.warning)
	}

	status := p.cli(p.Loopd, "recover", "status")
	require.Equal(p, want.status, status.ExitCode, "%s%s", status.Stdout,
		status.Stderr)
	if want.reason != "" {
		sentence := states.Explain(want.reason).Sentence
		said := flat(status.Stdout + status.Stderr)
		require.Contains(p, said, flat(sentence))
	}
	p.checkLog(want)
}

// flat makes one line of a text that was folded.
func flat(text string) string {
	return strings.Join(strings.Fields(text), " ")
}

// waitWarning waits until the status has a warning.
func (p *patient) waitWarning(warning states.Warning) {
	p.Helper()

	err := regtest.Eventually(p.Context(), string(warning), mendTime,
		func(ctx context.Context) error {
			resp, err := recovery(ctx, p.Loopd)
			if err != nil {
				return err
			}
			if !warned(resp, string(warning)) {
				return fmt.Errorf("%w: %v", errNotYet,
					resp.Warnings)
			}

			return nil
		})
	require.NoError(p, err)
}

// checkLog looks for the line that tells the cause.
func (p *patient) checkLog(want symptoms) {
	p.Helper()
	if want.log == "" {
		return
	}

	line := regexp.MustCompile(want.log)
	found := len(line.FindAllString(p.log(), -1))
	require.NotZero(p, found, "no line of the log says %q", want.log)
	if !want.often {
		require.Equal(p, 1, found, "the log repeats %q", want.log)
	}
}

// watch looks for leaks: handles, connections, goroutines and lines of the log
// that become more while nothing changes.
func (p *patient) watch() {
	p.Helper()

	during := *watchFlag
	p.wait(settleTime)
	before := p.vitals()
	p.wait(during)
	after := p.vitals()
	p.Logf("%v, and after %v %v", before, during, after)

	require.LessOrEqual(p, after.handles, before.handles+slack)
	require.LessOrEqual(p, after.sockets, before.sockets+slack)
	require.LessOrEqual(p, after.goroutines, before.goroutines+slack)
	require.LessOrEqual(p, after.sessions, before.sessions+slack)
	allowed := 1 + warningsPerMinute*during.Minutes()
	require.LessOrEqual(p,
		float64(after.warnings-before.warnings), allowed)
}

// wait lets time pass, in which the daemon is left alone: what is looked for is
// what happens by itself. It ends early if the process does.
func (p *patient) wait(during time.Duration) {
	p.Helper()
	require.Error(p, p.WaitExit(during), "the process ended")
	require.True(p, p.Running())
}

// typeAll types what the status tells to, word by word.
func (p *patient) typeAll(typings []typing, circles *atomic.Int32) {
	p.Helper()

	for _, one := range typings {
		before := p.cli(p.Loopd, "recover", "status")
		require.Contains(p, flat(before.Stdout+before.Stderr),
			one.command, "the status does not tell to type it")

		words := strings.Fields(one.command)[1:]
		got := p.cli(p.Loopd, words...)
		require.Equal(p, one.exit, got.ExitCode, "%s: %s%s",
			one.command, got.Stdout, got.Stderr)
		p.noCircle(before, one.command, circles)
	}
}

// noCircle fails if a command changed nothing of why it was to be typed.
func (p *patient) noCircle(before *regtest.CLIResult, command string,
	circles *atomic.Int32) {

	p.Helper()

	err := regtest.Eventually(p.Context(), "a way on", settleTime,
		func(context.Context) error {
			after := p.cli(p.Loopd, "recover", "status")
			if flat(after.Stdout) == flat(before.Stdout) {
				return fmt.Errorf("%w: %s", errNotYet,
					after.Stdout)
			}

			return nil
		})
	if err != nil {
		circles.Add(1)
	}
	require.NoError(p, err, "%q leads in a circle", command)
}
