package doctor

import (
	"fmt"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/recoveryfsm"
)

// Invariant names a promise.
type Invariant string

// The invariants.
const (
	// I1: nothing that parses as a token or a backup is ever overwritten
	// or deleted.
	I1 Invariant = "I1"

	// I2: a file under its final name is complete after any crash.
	I2 Invariant = "I2"

	// I3: no effect without a saved intent.
	I3 Invariant = "I3"

	// I4: every effect is visible at most once per generation.
	I4 Invariant = "I4"

	// I5: states and cursors only move forward, except for a proven reorg.
	I5 Invariant = "I5"

	// I6: the found set equals that of a brute-force walk of the chain.
	I6 Invariant = "I6"

	// I7: Reconciled only when every family closed its gap and the tip is
	// on the best chain.
	I7 Invariant = "I7"

	// I8: no secret outside the token's file, set-aside and encrypted
	// files.
	I8 Invariant = "I8"

	// I9: a wrong seed or network changes nothing.
	I9 Invariant = "I9"

	// I10: after Reconciled lnd hands out no key that was issued or seen.
	I10 Invariant = "I10"

	// Told: a run tells what it changed, however it ended, or says that it
	// may have changed more.
	Told Invariant = "told"
)

// Finding is one violation.
type Finding struct {
	Invariant Invariant

	// Detail says what is wrong. It holds nothing secret.
	Detail string
}

// String renders a finding.
func (f Finding) String() string {
	return string(f.Invariant) + ": " + f.Detail
}

// findings collects violations.
type findings []Finding

// add adds one.
func (f *findings) add(invariant Invariant, format string, args ...any) {
	*f = append(*f, Finding{invariant, fmt.Sprintf(format, args...)})
}

// World is what can be changed, at one moment.
type World struct {
	// Files are all files of the client's disk, by path.
	Files map[string][]byte

	// Rows are the rows in the table of static addresses, in bytes that
	// differ if the rows do.
	Rows [][]byte

	// Scripts are the scripts that lnd's wallet watches.
	Scripts map[string]bool

	// Counters are the next indices of lnd's key families. A family that
	// was never used may be missing.
	Counters map[int32]uint32
}

// TokenPlaced is the name of the effect that the token's file came into being.
const TokenPlaced = "token placed"

// Effect is something that was done.
type Effect struct {
	// Call names it.
	Call string

	// Intended says whether the journal held the intent to act then, in a
	// state that may have the effect.
	Intended bool

	// RunID is the run that was under way.
	RunID string

	// Answered says that whoever caused it was told so. An effect whose
	// answer was lost is not expected to be told.
	Answered bool
}

// Wanted is the generation that is to be in place in the end, and the limits
// that follow from it. They come from the world and not from the run that is
// judged by them.
type Wanted struct {
	// Token is the token's file, and Row the row, as World.Rows has it.
	Token, Row []byte

	// Address is the output script of the static address.
	Address []byte

	// KeyFamily and KeyIndex locate its client key. ReceiveFamily and
	// ChangeFamily are the families that grow.
	KeyFamily, ReceiveFamily, ChangeFamily int32
	KeyIndex                               uint32

	// LookAhead and KeyMargin are how far lnd's counters are moved beyond
	// the last key that is known. A scan looks twice as far: the next one
	// must still see what is paid to any key handed out from there on.
	LookAhead, KeyMargin uint32
}

// Run is one run and what the journal tells of it.
type Run struct {
	recoveryfsm.Run

	// Events are its events, in the order in which they were saved.
	Events []recoveryfsm.Event
}

// Evidence is all that a check of a finished run looks at.
type Evidence struct {
	// Before and After are the world before the first run and now.
	Before, After World

	// Runs are all runs, the oldest first. The last one is judged.
	Runs []Run

	// Journal is everything that the journal holds, as text.
	Journal []byte

	// Effects are what was done, in order.
	Effects []Effect

	// Cursors are the cursors of the scans, in the order in which they
	// were saved.
	Cursors []Cursor

	// Truth is what a brute-force walk of the best chain finds.
	Truth []chainscan.Output

	// Seen is what it would have found earlier, before the chain was
	// reorganised: keys that were seen once are not handed out again.
	Seen []chainscan.Output

	// Published is what the embedded daemon was told.
	Published []chainscan.Output

	// OnBestChain reports whether a block is part of the best chain.
	OnBestChain func(chainscan.BlockStamp) bool

	// Reorgs is how often the chain was reorganised meanwhile.
	Reorgs int

	// Wanted is what the recovery must lead to.
	Wanted Wanted

	// Secrets must not be seen anywhere.
	Secrets [][]byte

	// Token reports whether bytes are a token, Backup whether they are a
	// backup of any seed.
	Token, Backup func([]byte) bool
}

// Cursor is where a scan stood when it was saved.
type Cursor struct {
	// RunID is the run of the scan.
	RunID string

	// Pass and Height are how far it had come.
	Pass   uint32
	Height int32

	// Rollback says that a reorganisation led it back.
	Rollback bool

	// Outputs is the number of outputs stored with it or before.
	Outputs int
}

// last returns the run that is judged.
func (e *Evidence) last() *Run {
	return &e.Runs[len(e.Runs)-1]
}

// facts returns what the judged run knows.
func (e *Evidence) facts() *actions.Facts {
	return &e.last().Facts
}

// Check checks everything that holds whatever the end of the run is, and what
// holds for the end that it has.
func Check(e *Evidence) []Finding {
	var found findings
	found = append(found, Files(e)...)
	found = append(found, secrets(e)...)
	found = append(found, intents(e)...)
	found = append(found, history(e)...)
	found = append(found, cursors(e)...)
	found = append(found, once(e)...)
	found = append(found, told(e)...)
	if reconciled(e.last().Run) {
		found = append(found, complete(e)...)
		found = append(found, keys(e)...)
	}

	return found
}
