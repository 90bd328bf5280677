package doctor

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// text reports whether bytes are what these tests take for worth keeping.
func text(want string) func([]byte) bool {
	return func(data []byte) bool { return string(data) == want }
}

// healthy returns the evidence of a run that a user cancelled at once, with a
// token, a backup and a damaged file on the disk.
func healthy() *Evidence {
	files := func() map[string][]byte {
		return map[string][]byte{
			"/data/l402.token": []byte("token"),
			"/data/a.lrb":      []byte("backup"),
			"/data/junk":       []byte("junk"),
		}
	}

	return &Evidence{
		Before: World{Files: files(), Counters: map[int32]uint32{7: 3}},
		After:  World{Files: files(), Counters: map[int32]uint32{7: 3}},
		Runs: []Run{{
			Run: recoveryfsm.Run{
				Kind: states.Restore, State: states.Cancelled,
				Finished: true, LastSeq: 2,
			},
			Events: []recoveryfsm.Event{{
				Seq: 1, From: states.Start,
				Event: states.Begin, To: states.LocateBackup,
			}, {
				Seq: 2, From: states.LocateBackup,
				Event: states.Cancel, To: states.Cancelled,
			}},
		}},
		Effects: []Effect{{Call: "gate.Close", Intended: true}},
		Cursors: []Cursor{
			{Height: 5, Outputs: 1}, {Height: 6, Outputs: 1},
		},
		Secrets: [][]byte{[]byte("a long secret")},
		Token:   text("token"), Backup: text("backup"),
	}
}

// TestCheck checks that each breach is found under its name, and that there is
// nothing to find without one. What a reconciled run promises is tried on whole
// recoveries, by internal/testkit/explore.
func TestCheck(t *testing.T) {
	require.Empty(t, Check(healthy()))
	require.Empty(t, Untouched(healthy()))

	for name, test := range map[string]struct {
		breach func(*Evidence)
		want   Invariant
	}{
		"token changed": {func(e *Evidence) {
			e.After.Files["/data/l402.token"] = []byte("other")
		}, I1},
		"backup gone": {func(e *Evidence) {
			delete(e.After.Files, "/data/a.lrb")
		}, I1},
		"junk gone": {func(e *Evidence) {
			delete(e.After.Files, "/data/junk")
		}, I1},
		"half a backup": {func(e *Evidence) {
			e.After.Files["/data/b.lrb"] = []byte("back")
		}, I2},
		"no intent": {func(e *Evidence) {
			e.Effects[0].Intended = false
		}, I3},
		"two tokens": {func(e *Evidence) {
			placed := Effect{Call: TokenPlaced, Intended: true}
			e.Effects = append(e.Effects, placed, placed)
		}, I4},
		"counter moved": {func(e *Evidence) {
			e.After.Counters[7]++
		}, I4},
		"event lost": {func(e *Evidence) {
			e.Runs[0].Events = e.Runs[0].Events[1:]
		}, I5},
		"run elsewhere": {func(e *Evidence) {
			e.Runs[0].State = states.Decrypt
		}, I5},
		"cursor back": {func(e *Evidence) {
			e.Cursors[1].Height = 4
		}, I5},
		"output lost": {func(e *Evidence) {
			e.Cursors[1].Outputs = 0
		}, I5},
		"secret in the journal": {func(e *Evidence) {
			e.Journal = []byte("61206C6F6E6720736563726574")
		}, I8},
		"secret in a file": {func(e *Evidence) {
			e.After.Files["/data/log"] = []byte("a long secret")
		}, I8},
		"another row": {func(e *Evidence) {
			e.Wanted.Row = []byte("right")
			e.After.Rows = [][]byte{[]byte("wrong")}
		}, I4},
		"untold token": {func(e *Evidence) {
			e.Effects = append(e.Effects, Effect{
				Call: "tokens.Place", Intended: true,
				Answered: true,
			})
		}, Told},
		"untold keys": {func(e *Evidence) {
			e.Effects = append(e.Effects, Effect{
				Call: "node.AdvanceKey", Intended: true,
				Answered: true,
			})
		}, Told},
		"superseded after an effect": {func(e *Evidence) {
			e.Runs[0].Reason = states.Superseded
			e.Runs[0].Facts.Effects.RowCreated = true
		}, Told},
	} {
		evidence := healthy()
		test.breach(evidence)
		found := Check(evidence)
		require.True(t, slices.ContainsFunc(found,
			func(finding Finding) bool {
				return finding.Invariant == test.want
			}), "%s: %v", name, found)
	}
}

// TestMovedAside checks that a damaged file that was moved is not lost, and
// that a rollback lets a cursor go back.
func TestMovedAside(t *testing.T) {
	evidence := healthy()
	delete(evidence.After.Files, "/data/junk")
	evidence.After.Files["/data/set-aside/junk"] = []byte("junk")
	evidence.Cursors = append(evidence.Cursors, Cursor{
		Height: 2, Rollback: true,
	})
	require.Empty(t, Check(evidence))
}

// TestUntouched checks that anything a wrong seed changed is found.
func TestUntouched(t *testing.T) {
	for name, breach := range map[string]func(*World){
		"file": func(w *World) { w.Files["/x"] = nil },
		"row":  func(w *World) { w.Rows = [][]byte{{1}} },
		"script": func(w *World) {
			w.Scripts = map[string]bool{"s": true}
		},
		"counter": func(w *World) { w.Counters[7] = 4 },
	} {
		evidence := healthy()
		breach(&evidence.After)
		found := Untouched(evidence)
		require.Len(t, found, 1, name)
		require.Equal(t, I9, found[0].Invariant)
	}
}

// TestSpotter checks that a secret is seen in every spelling that something in
// a journal or a log could give it, and that nothing is seen that is none.
func TestSpotter(t *testing.T) {
	secret := []byte("\xfb\xff a preimage of 32 bytes or so")
	holds := spotter(secret)
	for before := range 4 {
		data := append(bytes.Repeat([]byte("x"), before), secret...)
		data = append(data, "after"...)
		for name, text := range map[string]string{
			"as it is": string(data),
			"hex":      hex.EncodeToString(data),
			"base64":   base64.StdEncoding.EncodeToString(data),
			"URL":      base64.RawURLEncoding.EncodeToString(data),
		} {
			require.True(t, holds([]byte(text)), "%s after %d",
				name, before)
		}
	}
	require.False(t, holds([]byte("nothing of the kind")))
	require.False(t, holds(secret[1:]))
}

// TestToldOfAnother checks that a run does not answer for another one, nor for
// an effect whose answer was lost, and that it may say that it does not know.
func TestToldOfAnother(t *testing.T) {
	for _, change := range []func(*Effect, *Run){
		func(effect *Effect, _ *Run) { effect.RunID = "other" },
		func(effect *Effect, _ *Run) { effect.Answered = false },
		func(_ *Effect, run *Run) {
			run.Facts.Effects.Unsaved = true
		},
	} {
		evidence := healthy()
		effect := Effect{
			Call: "rows.Create", Intended: true, Answered: true,
		}
		change(&effect, &evidence.Runs[0])
		evidence.Effects = []Effect{effect}
		require.Empty(t, Check(evidence))
	}
}
