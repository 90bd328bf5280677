package recoverydb

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/stretchr/testify/require"
)

// describeLimit is the number of runs and of events that describe tells.
const describeLimit = 1_000

// describe tells all that a journal holds, in a form that does not change with
// this code.
func describe(t *testing.T, db *DB) string {
	t.Helper()

	runs, err := db.Journal().Runs(t.Context(), describeLimit)
	require.NoError(t, err)
	var lines []string
	for _, run := range runs {
		lines = append(lines, fmt.Sprintln("run", run.ID, run.Kind,
			run.Version, run.State, run.BlockedFrom, run.Reason,
			run.Detail, run.LastSeq, run.Finished,
			run.Created.Unix(), run.Facts.Request.TokenID,
			string(run.Facts.Summary)))
		events, err := db.Journal().Events(t.Context(), run.ID, 0,
			describeLimit)
		require.NoError(t, err)
		for _, event := range events {
			lines = append(lines, fmt.Sprintln("event", event.Seq,
				event.From, event.Event, event.To,
				event.Detail))
		}
		cursor, outputs, err := db.Checkpoint(run.ID).Load(t.Context())
		require.NoError(t, err)
		if cursor != nil {
			lines = append(lines, fmt.Sprintln("scan from",
				cursor.Birthday))
		}
		for _, output := range outputs {
			lines = append(lines, describeOutput(output))
		}
	}

	return strings.Join(append(lines, describeLedger(t, db)...), "")
}

// describeLedger tells what a journal's ledger holds.
func describeLedger(t *testing.T, db *DB) []string {
	t.Helper()

	snapshot, err := db.Ledger().Load(t.Context())
	require.NoError(t, err)
	var lines []string
	for _, script := range snapshot.Scripts {
		lines = append(lines, fmt.Sprintf("script %x %v %v %q %d\n",
			script.PkScript, script.Pending, script.Blind,
			script.Run, script.Birthday))
	}
	for _, output := range snapshot.Outputs {
		lines = append(lines, describeOutput(output))
	}
	for _, p := range snapshot.Publications {
		lines = append(lines, fmt.Sprintf("publication %v %d %v %v\n",
			p.TxID, p.Height, p.Listed, p.Inputs))
	}
	slices.Sort(lines)
	if cursor, ok := snapshot.Cursor(); ok {
		lines = append(lines, fmt.Sprintln("followed to",
			cursor.Height, cursor.Hash))
	}

	return lines
}

// describeOutput tells of an output.
func describeOutput(output chainscan.Output) string {
	spend := "unspent"
	if output.Spend != nil {
		spend = output.Spend.TxID.String()
	}

	return fmt.Sprintf("output %v %d %d %s\n", output.OutPoint,
		int64(output.Value), output.Block.Height, spend)
}
