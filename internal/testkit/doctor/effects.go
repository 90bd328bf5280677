package doctor

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/looprecovery/looprecovery/states"
)

// once checks I4 as far as it shows in the end: one token file, one row, the
// generation's, and no counter that was moved further than needed.
func once(e *Evidence) []Finding {
	var found findings

	placed := 0
	for _, effect := range e.Effects {
		if effect.Call == TokenPlaced {
			placed++
		}
	}
	if placed > 1 {
		found.add(I4, "the token was placed %d times", placed)
	}

	added := len(e.After.Rows) - len(e.Before.Rows)
	if len(e.After.Rows) > 1 && added > 0 {
		found.add(I4, "there are %d address rows", len(e.After.Rows))
	}
	for _, row := range e.After.Rows[min(
		len(e.Before.Rows), len(e.After.Rows),
	):] {
		if !bytes.Equal(row, e.Wanted.Row) {
			found.add(I4, "another row was written than the "+
				"generation's")
		}
	}

	return append(found, moved(e)...)
}

// moved checks that no counter was moved further than needed.
func moved(e *Evidence) []Finding {
	var (
		found  findings
		wanted = e.wantedCounters()
	)
	for family, next := range e.After.Counters {
		limit := max(wanted[family], e.Before.Counters[family])
		if next > limit {
			found.add(I4, "the counter of family %d was moved to "+
				"%d, %d was enough", family, next, limit)
		}
	}
	slices.SortFunc(found, func(a, b Finding) int {
		return strings.Compare(a.Detail, b.Detail)
	})

	return found
}

// wantedCounters returns how far lnd's counters are to be moved, and no
// further.
func (e *Evidence) wantedCounters() map[int32]uint32 {
	next := e.Wanted.KeyIndex + 1
	wanted := map[int32]uint32{
		e.Wanted.KeyFamily:     next + e.Wanted.KeyMargin,
		e.Wanted.ReceiveFamily: e.Wanted.LookAhead,
		e.Wanted.ChangeFamily:  e.Wanted.LookAhead,
	}
	for _, output := range slices.Concat(e.Truth, e.Seen) {
		family := output.Script.Family
		if family == e.Wanted.KeyFamily {
			continue
		}
		used := output.Script.Index + 1 + e.Wanted.LookAhead
		wanted[family] = max(wanted[family], used)
	}

	return wanted
}

// keys checks I10.
func keys(e *Evidence) []Finding {
	var found findings
	wanted := e.wantedCounters()
	for _, family := range slices.Sorted(maps.Keys(wanted)) {
		if next := e.After.Counters[family]; next < wanted[family] {
			found.add(I10, "lnd hands out key %d of family %d, "+
				"keys below %d may be known", next, family,
				wanted[family])
		}
	}

	return found
}

// Untouched checks I9: a run that a wrong seed or network has blocked changed
// nothing.
func Untouched(e *Evidence) []Finding {
	var found findings
	run := e.last()
	if run.State != states.Blocked && run.State != states.Cancelled {
		found.add(I9, "the run went on to %s", run.State)
	}
	if !maps.EqualFunc(e.Before.Files, e.After.Files, bytes.Equal) {
		found.add(I9, "files were written")
	}
	if !slices.EqualFunc(e.Before.Rows, e.After.Rows, bytes.Equal) {
		found.add(I9, "rows were written")
	}
	if !maps.Equal(e.Before.Scripts, e.After.Scripts) {
		found.add(I9, "scripts were imported")
	}
	for _, family := range slices.Sorted(maps.Keys(e.After.Counters)) {
		next := e.After.Counters[family]
		if next != e.Before.Counters[family] {
			found.add(I9, "the counter of family %d was moved",
				family)
		}
	}

	return found
}
