package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/gate"
	"github.com/looprecovery/looprecovery/internal/testkit/service"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// maxSteps bounds the commands of one journey: a person who has typed more has
// been led nowhere.
const maxSteps = 8

// journey is a person in front of a loopd in memory, who types what is printed.
type journey struct {
	*testing.T
	*service.Service

	daemon *daemon

	// refusal is what every call is refused with while the cause of that
	// is there, and startRefusal what the beginning of a recovery is.
	refusal, startRefusal states.Reason

	// file is what the person has where a command says FILE.
	file string

	// foreign is what upstream's `loop` does.
	foreign func(args []string) error

	// last is what the last command left behind.
	last result
}

// scripted is the service in memory, but for what a journey refuses.
type scripted struct {
	recoveryrpc.RecoveryServer

	journey *journey
}

// StartRecovery implements recoveryrpc.RecoveryServer.
func (s *scripted) StartRecovery(ctx context.Context,
	req *recoveryrpc.StartRecoveryRequest) (
	*recoveryrpc.StartRecoveryResponse, error) {

	if s.journey.startRefusal != "" {
		return nil, recoveryrpc.StatusError(s.journey.startRefusal, "")
	}

	return s.journey.Server.StartRecovery(ctx, req)
}

// GetRecovery implements recoveryrpc.RecoveryServer.
func (s *scripted) GetRecovery(ctx context.Context,
	req *recoveryrpc.GetRecoveryRequest) (*recoveryrpc.GetRecoveryResponse,
	error) {

	if s.journey.refusal != "" {
		return nil, recoveryrpc.StatusError(s.journey.refusal, "")
	}

	return s.journey.Server.GetRecovery(ctx, req)
}

// newJourney returns a person and a new loopd.
func newJourney(t *testing.T) *journey {
	t.Helper()

	j := &journey{T: t, Service: service.New()}
	t.Cleanup(j.Stop)
	server := &testServer{}
	server.verbs = &scripted{RecoveryServer: j.Server, journey: j}
	j.daemon = startDaemon(t, server)
	j.foreign = func([]string) error { return nil }

	return j
}

// lost returns a generation of this lnd that is not in place.
func (j *journey) lost(name string) *backup.Content {
	j.Helper()

	content := j.World.NewContent(name, 0)
	j.World.Chain.Mine(7)

	return content
}

// write writes a file of the person's machine, and returns its path.
func (j *journey) write(name string, data []byte) string {
	j.Helper()

	path := filepath.Join(j.TempDir(), name)
	require.NoError(j, os.WriteFile(path, data, 0o600))

	return path
}

// take takes a file from a place of the daemon to the person's machine.
func (j *journey) take(name string) string {
	j.Helper()

	data, ok := j.World.Disk.Read(name)
	require.True(j, ok)
	j.World.Backups.Remove(name)

	return j.write(filepath.Base(name), data)
}

// install puts a generation in place.
func (j *journey) install(content *backup.Content) {
	j.Helper()

	row, err := content.Address.Parameters()
	require.NoError(j, err)
	j.World.Tokens.Put(content.Token)
	j.World.Rows.Put(row)
}

// typed runs a command line as it is printed.
func (j *journey) typed(line string) {
	j.Helper()

	args := strings.Fields(strings.ReplaceAll(line, "FILE", j.file))
	require.Equal(j, "loop", args[0], line)
	j.last = j.daemon.loopWith(j.T, func(a *app) {
		a.in = strings.NewReader("yes\n")
		a.launch = func(args []string) (int, error) {
			return 0, j.foreign(args)
		}
	}, args[1:]...)
	j.Logf("%s\n  -> %d %s%s", line, j.last.code, j.last.out, j.last.err)
}

// nextLine finds what the program tells to type next.
var nextLine = regexp.MustCompile(`(?mi)^ *next:? +(.*)$`)

// step is a reason with the commands that were printed for it.
type step struct {
	reason   states.Reason
	commands []string
}

// refusal returns what is printed for a reason that stops no recovery.
func refusal(reason states.Reason) step {
	return step{reason, states.ExplainWithoutRun(reason).Commands()}
}

// told returns the reason that the last command told, with the next step as it
// was printed; the first one if there are several.
func (j *journey) told() step {
	text := j.last.out + j.last.err
	for _, match := range nextLine.FindAllStringSubmatch(text, -1) {
		for _, reason := range states.Reasons() {
			stopped := states.Explain(reason)
			refused := states.ExplainWithoutRun(reason)
			what := strings.TrimSuffix(stopped.Sentence, ".")
			if !strings.Contains(text, what) {
				continue
			}

			switch match[1] {
			case stopped.Next:
				return step{reason, stopped.Commands()}

			case refused.Next:
				return step{reason, refused.Commands()}
			}
		}
	}

	return step{}
}

// follow types the commands of a reason, and those of the reasons to which they
// lead, until nothing is left to do. The cause of the first one is removed
// outside first. A reason that comes back is a circle.
func (j *journey) follow(next step, outside func(*journey)) error {
	j.Helper()

	seen := make(map[states.Reason]bool)
	for range maxSteps {
		reason := next.reason
		if seen[reason] {
			return fmt.Errorf("%s leads back to itself", reason)
		}
		seen[reason] = true
		if outside != nil {
			outside(j)
			outside = nil
		}

		typed := j.typeAll(next.commands)
		if !typed || j.last.code == exitOK ||
			j.last.code == exitCancelled {

			return nil
		}
		next = j.told()
		if next.reason == "" {
			return fmt.Errorf("%s leads to a failure without a "+
				"next step: %s%s", reason, j.last.out,
				j.last.err)
		}
	}

	return errors.New("the commands lead nowhere")
}

// typeAll types commands, and reports whether one of them was ours to type:
// what lnd's own program does is done outside.
func (j *journey) typeAll(commands []string) bool {
	j.Helper()

	typed := false
	for _, command := range commands {
		if !strings.HasPrefix(command, "lncli ") {
			j.typed(command)
			typed = true
		}
	}

	return typed
}

// reconciled is an end: the newest run has a result.
func reconciled(j *journey) {
	j.Helper()

	run, err := j.Engine.Latest(j.Context())
	require.NoError(j, err)
	require.NotNil(j, run)
	require.Equal(j, states.Reconciled, run.State, run.Reason)
	require.True(j, run.Finished)
}

// up is an end: the swap client is up, and a status finds nothing wrong.
func up(j *journey) {
	j.Helper()

	require.Equal(j, gate.Up, j.Daemon.Status().State)
	j.typed("loop recover status")
	require.Contains(j, []int{exitOK, exitCancelled}, j.last.code)
	require.Contains(j, j.last.out, "Swap client  up")
}

// explained is an end: the last command told what there is to know.
func explained(j *journey) {
	j.Helper()

	require.Equal(j, exitOK, j.last.code)
}

// situation is how a reason comes about, and what happens to who heeds it.
type situation struct {
	// before makes the world what it has to be.
	before func(j *journey)

	// first is the command that tells the reason. It is empty where a
	// command of upstream's tells it, which passes our error on.
	first string

	// outside removes the cause, where the next step says that something
	// has to be done besides typing.
	outside func(j *journey)

	// end checks where the commands led.
	end func(j *journey)
}

// play makes a situation come about, and follows the commands that it prints to
// their end.
func (s situation) play(j *journey, reason states.Reason) {
	j.Helper()

	next := refusal(reason)
	if s.before != nil {
		s.before(j)
	}
	if s.first != "" {
		j.typed(s.first)
		next = j.told()
		require.Equal(j, reason, next.reason, "%s%s", j.last.out,
			j.last.err)
	}
	require.NoError(j, j.follow(next, s.outside))
	s.end(j)
}

// TestNextCommands types the next command of every reason, as it is printed, in
// a situation that brings the reason about, until the end.
func TestNextCommands(t *testing.T) {
	table := situations()
	for _, reason := range states.Reasons() {
		scene, ok := table[reason]
		require.True(t, ok, "no situation for %s", reason)
		delete(table, reason)

		t.Run(string(reason), func(t *testing.T) {
			scene.play(newJourney(t), reason)
		})
	}
	require.Empty(t, table, "situations of reasons that are gone")
}

// TestNextCommandsWithoutRun does the same where no recovery waits, for every
// reason that then has a next step of its own.
func TestNextCommandsWithoutRun(t *testing.T) {
	table := withoutRun()
	for _, reason := range states.Reasons() {
		refused := states.ExplainWithoutRun(reason)
		same := refused == states.Explain(reason)
		scene, ok := table[reason]
		require.Equal(t, !same, ok, reason)
		if same {
			continue
		}
		t.Run(string(reason), func(t *testing.T) {
			j := newJourney(t)
			scene.play(j, reason)
			runs, err := j.Engine.List(t.Context())
			require.NoError(t, err)
			require.Empty(t, runs)
		})
	}
}

// onlyOfRuns are the reasons that only a recovery meets.
var onlyOfRuns = []states.Reason{
	states.BlocksUnavailable, states.CrashLoop, states.UnknownDefinition,
}

// TestNothingToResume types what is printed for each reason where there is no
// recovery: whatever it leads to, it is not that there is none.
func TestNothingToResume(t *testing.T) {
	for _, reason := range states.Reasons() {
		if slices.Contains(onlyOfRuns, reason) {
			continue
		}
		t.Run(string(reason), func(t *testing.T) {
			j := newJourney(t)
			j.file = j.write("file", []byte("not a backup"))
			j.Daemon.Set(&states.PermanentError{Reason: reason})
			for _, command := range refusal(reason).commands {
				j.typeAll([]string{command})
				require.NotEqual(t, states.NoSuchRun,
					j.told().reason, command)
			}
		})
	}
}

// TestCircleIsNoticed checks that a command which leads back to where it came
// from does not pass: the swaps are not waited for.
func TestCircleIsNoticed(t *testing.T) {
	scene := situations()[states.SwapsInFlight]
	j := newJourney(t)
	scene.before(j)
	j.typed(scene.first)
	err := j.follow(j.told(), nil)
	require.ErrorContains(t, err, "leads back to itself")
}

// TestWarningCommands types the next command of every warning, as the status
// prints it.
func TestWarningCommands(t *testing.T) {
	for _, warning := range states.Warnings() {
		t.Run(string(warning), func(t *testing.T) {
			j := newJourney(t)
			content := j.lost("a")
			j.file = j.take(j.World.Backups.Put(
				"/data", content,
			))
			j.install(content)
			if warning == states.WarnAddressAlone {
				j.World.Tokens.Lose()
			}

			explained := states.ExplainWarning(warning)
			j.Daemon.Warn(states.Notice{Warning: warning})
			j.typed("loop recover status")
			require.Contains(t, j.last.out, explained.Next)
			j.Daemon.Warn()
			j.typeAll(explained.Commands())
			require.Equal(t, exitOK, j.last.code, j.last.err)
		})
	}
}

// errDisk is the error of a disk that is not there.
var errDisk = errors.New("no such device")

// finish restores the generation of a file and waits for the end.
func (j *journey) finish(path string) {
	j.Helper()

	j.file = path
	j.typed("loop recover --backup_file FILE")
	require.Equal(j, exitOK, j.last.code, j.last.err)
}

// fileSituation is a file that is refused: the right one is accepted after it.
func fileSituation(bad func(j *journey) string) situation {
	var good string

	return situation{
		before: func(j *journey) {
			j.file = bad(j)
			good = j.take(j.World.Backups.Put(
				"/data", j.lost("good"),
			))
		},
		first: "loop recover --backup_file FILE",
		end: func(j *journey) {
			explained(j)
			j.finish(good)
			reconciled(j)
		},
	}
}

// causeSituation is a swap client that does not come up for a reason, until the
// cause is removed outside.
func causeSituation(cause error) situation {
	return situation{
		before:  func(j *journey) { j.Daemon.Set(cause) },
		first:   "loop recover status",
		outside: func(j *journey) { j.Daemon.Set(nil) },
		end:     up,
	}
}

// permanent is causeSituation for a reason that needs a person, which the exit
// code says.
func permanent(reason states.Reason) situation {
	scene := causeSituation(&states.PermanentError{
		Reason: reason, Detail: "the thing concerned",
	})
	outside := scene.outside
	scene.outside = func(j *journey) {
		require.Equal(j, exitBlocked, j.last.code)
		require.Contains(j, j.last.out, "the thing concerned")
		outside(j)
	}

	return scene
}

// passing is causeSituation for a reason that passes by itself.
func passing(reason states.Reason) situation {
	return causeSituation(&states.TransientError{Reason: reason})
}
