package doctor

import (
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
		Cursors: []Cursor{{Height: 5, Outputs: 1}, {Height: 6, Outputs: 1}},
		Secrets: [][]byte{[]byte("secret")},
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
			e.Journal = []byte("a SECRET or 736563726574")
		}, I8},
		"secret in a file": {func(e *Evidence) {
			e.After.Files["/data/log"] = []byte("a secret")
		}, I8},
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

// TestMovedAside checks that a damaged file that was moved is not lost, and that
// a rollback lets a cursor go back.
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
