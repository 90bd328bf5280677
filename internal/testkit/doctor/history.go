package doctor

import (
	"slices"

	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
)

// reconciled reports whether a run came to its good end.
func reconciled(run recoveryfsm.Run) bool {
	return run.Finished && run.State == states.Reconciled
}

// intents checks I3.
func intents(e *Evidence) []Finding {
	var found findings
	for _, effect := range e.Effects {
		if !effect.Intended {
			found.add(I3, "%s without an intent", effect.Call)
		}
	}

	return found
}

// history checks the part of I5 that events tell: they are complete and in
// order, each begins where the one before ended, the last one ends where the
// run is, and a run goes back only if the chain did.
func history(e *Evidence) []Finding {
	var found findings
	reorgs := 0
	for _, run := range e.Runs {
		at := states.Start
		for i, event := range run.Events {
			if event.Seq != uint64(i+1) {
				found.add(I5, "event %d has the number %d",
					i+1, event.Seq)
			}
			if event.From != at {
				found.add(I5, "event %d leaves %s in %s",
					event.Seq, event.From, at)
			}
			if backwards(run.Kind, event) {
				found.add(I5, "event %d leads from %s to %s",
					event.Seq, event.From, event.To)
			}
			if event.Event == states.Reorged {
				reorgs++
			}
			at = event.To
		}
		if at != run.State || run.LastSeq != uint64(len(run.Events)) {
			found.add(I5, "the run is in %s after %d events, its "+
				"history ends in %s after %d", run.State,
				run.LastSeq, at, len(run.Events))
		}
	}
	if reorgs > e.Reorgs {
		found.add(I5, "%d reorganisations were reported, there were "+
			"%d", reorgs, e.Reorgs)
	}

	return found
}

// backwards reports whether an event leads to an earlier state of the path.
func backwards(kind states.Kind, event recoveryfsm.Event) bool {
	table, _ := states.Current(kind)
	from := slices.Index(table.Path, event.From)
	to := slices.Index(table.Path, event.To)

	return from >= 0 && to >= 0 && to < from &&
		event.Event != states.Reorged
}

// cursors checks the part of I5 that the scan tells: a cursor goes back only if
// it says that the chain did, and never loses what was found before.
func cursors(e *Evidence) []Finding {
	var found findings
	before := make(map[string]Cursor)
	for _, cursor := range e.Cursors {
		last, ok := before[cursor.RunID]
		before[cursor.RunID] = cursor
		if !ok || cursor.Rollback {
			continue
		}
		if cursor.Pass < last.Pass || cursor.Pass == last.Pass &&
			cursor.Height < last.Height {

			found.add(I5, "the cursor went from %d/%d to %d/%d",
				last.Pass, last.Height, cursor.Pass,
				cursor.Height)
		}
		if cursor.Outputs < last.Outputs {
			found.add(I5, "the scan lost %d outputs",
				last.Outputs-cursor.Outputs)
		}
	}

	return found
}

// told checks that each run tells the effects that it was told of, unless it
// says that there may be more, and that none was superseded that had any.
func told(e *Evidence) []Finding {
	var found findings
	for _, run := range e.Runs {
		done := make(map[string]int)
		for _, effect := range e.Effects {
			if effect.RunID == run.ID && effect.Answered {
				done[effect.Call]++
			}
		}
		kept := run.Facts.Effects
		advanced := 0
		for _, keys := range kept.KeysAdvanced {
			advanced += int(keys)
		}
		hidden := done["tokens.Place"] > 0 && !kept.TokenPlaced ||
			done["tokens.SetAside"] > 0 && kept.SetAside == "" ||
			done["rows.Create"] > 0 && !kept.RowCreated ||
			done["node.AdvanceKey"] > advanced
		if hidden && !kept.Unsaved {
			found.add(Told, "the run in %s does not tell what it "+
				"changed: %v", run.State, done)
		}
		if run.Reason == states.Superseded &&
			(hidden || !kept.None()) {

			found.add(Told, "a run was superseded that had "+
				"changed something")
		}
	}

	return found
}
