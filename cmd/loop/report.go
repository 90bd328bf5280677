package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
)

const (
	// maxRows is the largest number of outputs that are shown. All of them
	// are in the output of --json.
	maxRows = 500

	// labelWidth is the width of the labels of a report in columns.
	labelWidth = 12
)

// report collects the lines of a report.
type report struct {
	strings.Builder
}

// line adds a labelled line, unless there is nothing to say.
func (r *report) line(label, text string) {
	if text != "" {
		fmt.Fprintf(r, "%-*s %s\n", labelWidth, label, clean(text))
	}
}

// statusText tells a run, the swap client and the warnings.
func statusText(response *recoveryrpc.GetRecoveryResponse) string {
	var r report
	if run := response.GetRun(); run != nil {
		r.WriteString(runText(run))
	} else {
		r.line("Recovery", noRunText(response))
	}
	r.look(response.GetLastLook())

	r.WriteString("\n")
	r.daemon(response.GetDaemon())
	for _, warning := range response.GetWarnings() {
		r.line("Warning", withDetail(
			warning.GetSentence(), warning.GetDetail(),
		))
		r.line("  next", warning.GetNextCommand())
	}

	return r.String()
}

// daemon adds the state of the embedded swap client.
func (r *report) daemon(daemon *recoveryrpc.DaemonStatus) {
	text := "its state is not known"
	switch daemon.GetState() {
	case recoveryrpc.DaemonState_DAEMON_UP:
		text = "up"

	case recoveryrpc.DaemonState_DAEMON_STARTING:
		text = "starting"

	case recoveryrpc.DaemonState_DAEMON_HELD:
		text = "held back"

	case recoveryrpc.DaemonState_DAEMON_DOWN:
		text = "down"
	}

	if daemon.GetReason() != "" {
		text += ": " + daemon.GetReason()
	}
	if daemon.GetSentence() != "" {
		text += ". " + daemon.GetSentence()
	}
	r.line("Swap client", withDetail(text, daemon.GetDetail()))
	r.line("  next", daemon.GetNextCommand())
	r.line("Network", daemon.GetNetwork())
	r.line("Version", daemon.GetVersion())
}

// runText tells everything about a run.
func runText(run *recoveryrpc.Run) string {
	var r report
	kind := run.GetKind()
	if run.GetAutomatic() {
		kind += ", begun by loopd itself"
	}
	r.line("Recovery", fmt.Sprintf("%s (%s)", run.GetId(), kind))
	r.line("State", stateText(run))
	r.line("Begun", fmt.Sprintf("%s, last change %s",
		timeText(run.GetCreated()), timeText(run.GetUpdated())))
	r.obstacle(run)
	r.generation(run)
	r.coverage(run)
	r.line("Changed", changedText(run.GetEffects()))
	r.outputs(run)
	r.next(run)
	r.listing(run)

	return r.String()
}

// stateText tells the state of a run and how far it has come.
func stateText(run *recoveryrpc.Run) string {
	state := states.State(run.GetState())
	switch {
	case run.GetHalted():
		return fmt.Sprintf("%s, halted: %s", run.GetState(),
			run.GetReason())

	case state == states.Blocked:
		return fmt.Sprintf("Blocked in %s: %s", run.GetBlockedFrom(),
			run.GetReason())

	case state == states.Reconciled && !run.GetFinished():
		return "Reconciled, checking the result"

	case state == states.ScanDeposits && run.GetProgress() != nil:
		return "ScanDeposits, " + progressText(run.GetProgress())
	}

	return run.GetState()
}

// obstacle adds why a run is blocked or waits.
func (r *report) obstacle(run *recoveryrpc.Run) {
	if isStopped(run) {
		blocked := blockedError(run)
		r.line("Happened", blocked.what)
		r.line("Untouched", blocked.untouched)
		r.line("Next", blocked.next)

		return
	}

	if run.GetNextRetry() != nil {
		r.line("Waiting", retryText(run))
	}
}

// generation adds what is restored and where it comes from.
func (r *report) generation(run *recoveryrpc.Run) {
	if file := run.GetBackup(); file != nil {
		r.line("Backup", file.GetPath())
		r.line("  sha256", file.GetSha256())
	}

	made := run.GetGeneration()
	if made == nil {
		return
	}
	r.line("Address", made.GetAddress())
	r.line("  key", fmt.Sprintf("%d/%d, expires after %s",
		made.GetKeyFamily(), made.GetKeyIndex(),
		plural(int64(made.GetExpiry()), "block")))
	r.line("Token", made.GetTokenId())
	r.line("  made", timeText(made.GetTokenCreated()))
}

// coverage adds the evidence of a finished scan.
func (r *report) coverage(run *recoveryrpc.Run) {
	covered := run.GetCoverage()
	if covered == nil {
		if run.GetBirthday() > 0 {
			r.line("Birthday", group(int64(run.GetBirthday())))
		}

		return
	}

	r.line("Scanned", fmt.Sprintf("blocks %s to %s (%s), %s fetched in "+
		"%s from %s", group(int64(covered.GetBirthday())),
		group(int64(covered.GetTipHeight())), covered.GetTipHash(),
		plural(int64(covered.GetBlocks()), "block"),
		plural(int64(covered.GetPasses()), "walk"),
		covered.GetSource()))
	for _, family := range covered.GetFamilies() {
		r.line("  tested", familyText(family))
	}
}

// familyText tells what was tested in one key family.
func familyText(family *recoveryrpc.FamilyCoverage) string {
	if family.GetFixed() {
		return fmt.Sprintf("family %d: the address alone",
			family.GetFamily())
	}

	used := "none was ever used"
	if family.GetUsed() > 0 {
		used = fmt.Sprintf("the highest used index is %d",
			family.GetUsed()-1)
	}

	return fmt.Sprintf("family %d: %s, %s", family.GetFamily(),
		plural(int64(family.GetTested()), "script"), used)
}

// changedText tells what a run changed, "" if nothing.
func changedText(effects *recoveryrpc.Effects) string {
	var changes []string
	if effects.GetTokenPlaced() {
		changes = append(changes, "L402 token placed")
	}
	if effects.GetSetAside() != "" {
		changes = append(changes, "damaged token file moved to "+
			effects.GetSetAside())
	}
	if effects.GetScriptImported() {
		changes = append(changes, "script imported into lnd")
	}
	if effects.GetRowCreated() {
		changes = append(changes, "address written to the database")
	}
	for _, advanced := range effects.GetKeysAdvanced() {
		changes = append(changes, fmt.Sprintf("%s of family %d "+
			"retired", plural(int64(advanced.GetKeys()), "key"),
			advanced.GetFamily()))
	}

	return strings.Join(changes, ", ")
}

// outputs adds the table of what was found.
func (r *report) outputs(run *recoveryrpc.Run) {
	if run.GetSummary() == "" {
		return
	}
	found, err := parseSummary(run.GetSummary())
	if err != nil {
		r.line("Found", "this version cannot read the result; it is "+
			"in the output of --json")

		return
	}

	unspent := int64(0)
	for _, output := range found.Outputs {
		if output.SpendTxID == "" {
			unspent++
		}
	}
	r.line("Found", fmt.Sprintf("%s, %s unspent: %s",
		plural(int64(len(found.Outputs)), "deposit"), group(unspent),
		satText(found.Unspent)))
	if len(found.Outputs) == 0 {
		return
	}

	rows := [][]string{{"OUTPOINT", "AMOUNT", "HEIGHT", "KEY", "SPENT BY"}}
	shown := found.Outputs[:min(len(found.Outputs), maxRows)]
	for _, output := range shown {
		rows = append(rows, outputRow(output))
	}
	r.WriteString("\n")
	r.WriteString(table(rows))
	if hidden := len(found.Outputs) - len(shown); hidden > 0 {
		fmt.Fprintf(r, "  and %s more, all in the output of --json\n",
			group(int64(hidden)))
	}
}

// outputRow returns the row of one output.
func outputRow(output summaryOutput) []string {
	spent := "-"
	if output.SpendTxID != "" {
		spent = fmt.Sprintf("%s at height %s", output.SpendTxID,
			group(int64(output.SpendHeight)))
	}

	return []string{
		output.OutPoint, satText(output.Value),
		group(int64(output.Height)),
		fmt.Sprintf("%d/%d", output.KeyFamily, output.KeyIndex), spent,
	}
}

// table lays out rows in columns, two spaces apart and indented by two. The
// cells may hold foreign text.
func table(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			row[i] = clean(cell)
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(row[i])))
		}
	}

	var out strings.Builder
	for _, row := range rows {
		line := " "
		for i, cell := range row {
			line += fmt.Sprintf(" %-*s ", widths[i], cell)
		}
		out.WriteString(strings.TrimRight(line, " ") + "\n")
	}

	return out.String()
}

// next adds what to do after a run has ended.
func (r *report) next(run *recoveryrpc.Run) {
	var steps []string
	switch states.State(run.GetState()) {
	case states.Cancelled:
		steps = append(steps, "loop recover begins anew; what this "+
			"one had put in place is still there")

	case states.Reconciled:
		if run.GetFinished() {
			steps = nextSteps(run)
		}
	}

	if len(steps) > 0 {
		r.WriteString("\n")
	}
	for _, step := range steps {
		r.line("Next", step)
	}
}

// nextSteps returns what to do after a run was reconciled.
func nextSteps(run *recoveryrpc.Run) []string {
	steps := []string{
		"loop static listdeposits shows the deposits that the swap " +
			"client works with",
	}

	found, err := parseSummary(run.GetSummary())
	if err == nil && slices.ContainsFunc(found.Outputs,
		func(output summaryOutput) bool {
			return output.SpendTxID == "" &&
				!found.isAddress(output)
		}) {

		steps = append(steps, "deposits of another key than the "+
			"address's cannot be used by the swap client; keep "+
			"the backup and the seed, they stay recoverable")
	}

	for _, other := range run.GetBackup().GetOthers() {
		steps = append(steps, "another generation has a backup, "+
			"token "+other+"; keep it: one directory holds one "+
			"generation. To look at it, start a second loopd with "+
			"a --loopdir of its own, and there: loop recover "+
			"--token_id "+other)
	}

	return steps
}

// cancelText tells the outcome of a cancellation.
func cancelText(run *recoveryrpc.Run) string {
	var r report
	r.line("Recovery", fmt.Sprintf("%s (%s)", run.GetId(), run.GetKind()))
	r.line("State", run.GetState())
	r.line("Untouched", "what the recovery had put in place is still "+
		"there, and so are the backups")
	r.line("Next", "loop recover status")

	return r.String()
}

// listText tells all runs, one a line.
func listText(runs []*recoveryrpc.Run) string {
	if len(runs) == 0 {
		return "No recovery was ever begun here.\n"
	}

	rows := [][]string{{
		"ID", "KIND", "STATE", "REASON", "BEGUN", "CHANGED",
	}}
	for _, run := range runs {
		reason := run.GetReason()
		if reason == "" {
			reason = "-"
		}
		rows = append(rows, []string{
			run.GetId(), run.GetKind(), run.GetState(), reason,
			timeText(run.GetCreated()), timeText(run.GetUpdated()),
		})
	}

	return table(rows)
}

// historyText tells the events of a run, one a line.
func historyText(response *recoveryrpc.GetHistoryResponse) string {
	run := response.GetRun()

	var r report
	r.line("Recovery", fmt.Sprintf("%s (%s)", run.GetId(), run.GetKind()))
	r.line("Begun", timeText(run.GetCreated()))
	r.line("State", stateText(run))
	if len(response.GetEvents()) == 0 {
		return r.String()
	}

	rows := [][]string{{"TIME", "FROM", "EVENT", "TO", "REASON"}}
	for _, event := range response.GetEvents() {
		reason := "-"
		if event.GetReason() != "" {
			reason = withDetail(
				event.GetReason(), event.GetDetail(),
			)
		}
		rows = append(rows, []string{
			timeText(event.GetTime()), event.GetFrom(),
			event.GetEvent(), event.GetTo(), reason,
		})
	}
	r.WriteString("\n")
	r.WriteString(table(rows))

	return r.String()
}
