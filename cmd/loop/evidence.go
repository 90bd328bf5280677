package main

import (
	"fmt"
	"slices"

	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
)

// noRunText says that there is no recovery, without claiming more than that.
func noRunText(response *recoveryrpc.GetRecoveryResponse) string {
	if response.GetLastLook() == nil {
		return "none was begun here"
	}

	return "none was begun here; loopd looked for backups at its start"
}

// look adds the evidence of a look for backups.
func (r *report) look(look *recoveryrpc.Look) {
	if look == nil {
		return
	}

	found := int64(len(look.GetFiles())) + int64(look.GetMore())
	r.line("Looked", fmt.Sprintf("%s, %s found",
		timeText(look.GetTime()), plural(found, "file")))
	for _, file := range look.GetFiles() {
		r.line("  found", file.GetPath()+": "+file.GetVerdict())
	}
	if look.GetMore() > 0 {
		r.line("  and", group(int64(look.GetMore()))+" more")
	}
	for _, place := range look.GetPlaceErrors() {
		r.line("  no answer", fmt.Sprintf("%s: %s", place.GetPlace(),
			place.GetError()))
	}
}

// What loopd says of a deposit: see recoveryrpc.Deposit.
const (
	listedYes   = "yes"
	listedNever = "not its own"
)

// listedCount returns how many of a result's deposits the swap client lists,
// and how many it can list.
func listedCount(run *recoveryrpc.Run) (listed, own int64) {
	for _, deposit := range run.GetDeposits() {
		switch deposit.GetListed() {
		case listedYes:
			listed++
			own++

		case listedNever:

		default:
			own++
		}
	}

	return listed, own
}

// allListed reports whether the swap client lists every deposit that it can.
func allListed(run *recoveryrpc.Run) bool {
	listed, own := listedCount(run)

	return len(run.GetDeposits()) > 0 && listed == own
}

// hasUnspent reports whether a run found deposits that nobody has spent.
func hasUnspent(run *recoveryrpc.Run) bool {
	found, err := parseSummary(run.GetSummary())

	return err == nil && slices.ContainsFunc(found.Outputs,
		func(output summaryOutput) bool {
			return output.SpendTxID == ""
		})
}

// listing adds, as the last line, whether the swap client lists what a finished
// run has found.
func (r *report) listing(run *recoveryrpc.Run) {
	finished := run.GetFinished() &&
		states.State(run.GetState()) == states.Reconciled
	if !finished || !hasUnspent(run) {
		return
	}
	r.line("Listed", listingText(run))
}

// listingText says whether the swap client lists the deposits of a result.
func listingText(run *recoveryrpc.Run) string {
	listed, own := listedCount(run)
	other := int64(len(run.GetDeposits())) - own

	text := fmt.Sprintf("the swap client lists %s of %s", group(listed),
		plural(own, "deposit"))
	switch {
	case len(run.GetDeposits()) == 0:
		return "it is not known yet whether the swap client lists " +
			"them: loop recover status"

	case listed < own:
		text += " so far; it looks for new ones at each block: loop " +
			"recover status"
	}
	if other > 0 {
		text += fmt.Sprintf(", %s not its own", group(other))
	}

	return text
}
