package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
)

const (
	// eraseLine moves to the first column of a terminal and clears the
	// line.
	eraseLine = "\r\x1b[K"

	// plainInterval is the least time between two lines of progress where
	// output is not a terminal.
	plainInterval = 10 * time.Second

	// barWidth is the width of the progress bar in columns.
	barWidth = 12
)

// textView shows a run as text: a line for each event, which stays, and below
// them one line that tells what is being done. On a terminal that line is
// drawn over and over; elsewhere it is repeated now and then.
type textView struct {
	out   io.Writer
	width func() int
	now   func() time.Time

	// drawn says that the terminal's last line is to be drawn over.
	drawn bool

	// phase and said are what was last told, and when, where output is not
	// a terminal.
	phase string
	said  time.Time

	// header is what is shown first.
	header string
}

// newTextView returns a view of a run.
func newTextView(a *app, run *recoveryrpc.Run) *textView {
	return &textView{
		out: a.out, width: a.width, now: a.now,
		header: fmt.Sprintf("Recovery %s (%s)", clean(run.GetId()),
			clean(run.GetKind())),
	}
}

// update implements view.
func (v *textView) update(update *recoveryrpc.RecoveryUpdate) error {
	run := update.GetRun()
	if v.header != "" {
		if err := v.keep(v.header); err != nil {
			return err
		}
		v.header = ""
	}

	if event := update.GetEvent(); event != nil {
		if line := eventLine(event, run); line != "" {
			if err := v.keep(line); err != nil {
				return err
			}
		}
	}

	if run.GetFinished() || isStopped(run) {
		return nil
	}
	phase := fmt.Sprintf("%s/%d", run.GetState(), run.GetAttempt())

	return v.draw(phase, workLine(run))
}

// lost implements view.
func (v *textView) lost(err error) error {
	return v.draw("lost", stepLine("connection", "lost, trying again: "+
		clean(explain(err).what)))
}

// end implements view.
func (v *textView) end() error {
	if !v.drawn {
		return nil
	}
	v.drawn = false
	_, err := fmt.Fprint(v.out, eraseLine)

	return err
}

// keep writes a line that stays.
func (v *textView) keep(line string) error {
	if err := v.end(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(v.out, line)

	return err
}

// draw shows what is being done now.
func (v *textView) draw(phase, line string) error {
	if width := v.width(); width > 0 {
		v.drawn = true
		_, err := fmt.Fprint(v.out, eraseLine, truncate(line, width-1))

		return err
	}

	now := v.now()
	if phase == v.phase && now.Sub(v.said) < plainInterval {
		return nil
	}
	v.phase, v.said = phase, now
	_, err := fmt.Fprintln(v.out, line)

	return err
}

// truncate shortens a line to the given number of characters.
func truncate(line string, width int) string {
	if utf8.RuneCountInString(line) <= width {
		return line
	}

	return string([]rune(line)[:max(width, 0)])
}

// stepLine formats a line about one state.
func stepLine(step, text string) string {
	return fmt.Sprintf("  %-16s %s", step, text)
}

// eventLine tells an event, or returns "" if there is nothing to tell.
func eventLine(event *recoveryrpc.Event, run *recoveryrpc.Run) string {
	from, detail := clean(event.GetFrom()), clean(event.GetDetail())

	switch states.Event(event.GetEvent()) {
	case states.Begin:
		return ""

	case states.Done:
		return strings.TrimRight(stepLine(from, "done  "+
			clean(doneText(event, run))), " ")

	case states.Reorged:
		return stepLine(from, withDetail(
			"the chain was reorganised, scanning again", detail,
		))

	case states.Block:
		return stepLine(from, withDetail(
			"blocked: "+clean(event.GetReason()), detail,
		))

	case states.Resume:
		return stepLine(clean(event.GetTo()), "resumed")

	case states.Cancel:
		return stepLine(from, "cancelled")

	default:
		return stepLine(from, clean(event.GetEvent()))
	}
}

// doneText tells what the state that was left has brought.
func doneText(event *recoveryrpc.Event, run *recoveryrpc.Run) string {
	switch states.State(event.GetFrom()) {
	case states.LocateBackup:
		return run.GetBackup().GetPath()

	case states.VerifyNetwork:
		if run.GetBirthday() > 0 {
			return "birthday " + group(int64(run.GetBirthday()))
		}

	case states.RecreateAddress:
		return run.GetGeneration().GetAddress()

	case states.ScanDeposits:
		if progress := run.GetProgress(); progress != nil {
			return plural(int64(progress.GetOutputs()), "output") +
				" found"
		}
	}

	return event.GetDetail()
}

// workLine tells what a run is doing now.
func workLine(run *recoveryrpc.Run) string {
	state := clean(run.GetState())
	scanning := states.State(run.GetState()) == states.ScanDeposits

	switch {
	case run.GetNextRetry() != nil:
		return stepLine(state, clean(retryText(run)))

	case scanning && run.GetProgress() != nil:
		return stepLine(state, scanLine(run.GetProgress()))

	default:
		return stepLine(state, "...")
	}
}

// retryText tells why a run waits and until when.
func retryText(run *recoveryrpc.Run) string {
	return fmt.Sprintf("attempt %d failed, the next is due at %s: %s",
		run.GetAttempt(), timeText(run.GetNextRetry()),
		run.GetLastError())
}

// share returns the part of the scan that is done, from 0 to 1.
func share(progress *recoveryrpc.Progress) float64 {
	done := int64(progress.GetHeight()) - int64(progress.GetBirthday()) + 1
	total := int64(progress.GetTip()) - int64(progress.GetBirthday()) + 1
	if total <= 0 {
		return 0
	}

	return min(max(float64(done)/float64(total), 0), 1)
}

// bar draws the part of the scan that is done.
func bar(progress *recoveryrpc.Progress) string {
	full := int(share(progress) * barWidth)

	return "[" + strings.Repeat("#", full) +
		strings.Repeat(".", barWidth-full) + "]"
}

// scanLine tells how far a scan has come, in a line that fits a terminal of 80
// columns.
func scanLine(progress *recoveryrpc.Progress) string {
	parts := []string{
		fmt.Sprintf("%s %3d%%", bar(progress),
			int(100*share(progress))),
		group(int64(progress.GetHeight())) + "/" +
			group(int64(progress.GetTip())),
		group(int64(progress.GetOutputs())) + " found",
	}
	if eta := progress.GetEtaSeconds(); eta > 0 {
		parts = append(parts, durationText(eta)+" left")
	}
	if progress.GetPass() > 0 {
		parts = append(parts, fmt.Sprintf("pass %d",
			progress.GetPass()+1))
	}

	return strings.Join(parts, "  ")
}

// progressText tells how far a scan has come.
func progressText(progress *recoveryrpc.Progress) string {
	parts := []string{
		fmt.Sprintf("%d%%, block %s of %s",
			int(100*share(progress)),
			group(int64(progress.GetHeight())),
			group(int64(progress.GetTip()))),
		plural(int64(progress.GetOutputs()), "output") + " found",
	}
	if progress.GetPass() > 0 {
		parts = append(parts, fmt.Sprintf("pass %d",
			progress.GetPass()+1))
	}
	if rate := progress.GetBlocksPerSecond(); rate > 0 {
		parts = append(parts, fmt.Sprintf("%.0f blocks/s", rate))
	}
	if eta := progress.GetEtaSeconds(); eta > 0 {
		parts = append(parts, durationText(eta)+" left")
	}

	return strings.Join(parts, ", ")
}
