package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/urfave/cli/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// maxReconnects is how often in a row a lost connection is tried
	// again: for about five minutes, longer than a node needs to restart.
	maxReconnects = 32

	// firstDelay and maxDelay bound the wait before each of them.
	firstDelay = 500 * time.Millisecond
	maxDelay   = 10 * time.Second
)

// listLimit is how long the end of a stream is waited for after the end of the
// run: loopd asks the swap client for its deposits meanwhile.
const listLimit = 40 * time.Second

// errEnded is returned if loopd ended the stream of a run that goes on.
var errEnded = errors.New("loopd ended the stream")

// view shows a run that is being followed.
type view interface {
	// update shows a message of the stream.
	update(update *recoveryrpc.RecoveryUpdate) error

	// lost says that the connection was lost and will be tried again.
	lost(err error) error

	// end leaves the terminal ready for further output.
	end() error
}

// follower follows one run over as many connections as it takes.
type follower struct {
	client *client
	view   view
	pause  func(ctx context.Context, duration time.Duration) error

	// id is the run's, next the number of the event that is due next.
	id   string
	next uint64

	// over is the run once there are no more events to come: what is still
	// waited for is whether the swap client lists its deposits.
	over *recoveryrpc.Run
}

// follow shows a run until it ends, is blocked, or the user interrupts. The
// first event shown is the one with the given number.
func (a *app) follow(ctx context.Context, cmd *cli.Command, client *client,
	run *recoveryrpc.Run, fromSeq uint64) error {

	asJSON := cmd.Bool(jsonName)
	var shown view = &jsonView{out: a.out}
	if !asJSON {
		shown = newTextView(a, run)
	}

	follower := &follower{
		client: client, view: shown, pause: a.pause,
		id: run.GetId(), next: fromSeq,
	}
	last, err := follower.run(ctx)
	if endErr := shown.end(); endErr != nil {
		return endErr
	}

	switch {
	case last == nil && ctx.Err() != nil:
		_, err := fmt.Fprintf(a.err, "Detached. The recovery goes on "+
			"inside loopd.\nFollow it with: loop recover status "+
			"--watch\n")
		if err != nil {
			return err
		}

		return exitStatus(exitDetached)

	case err != nil:
		return err

	case asJSON:
		return runStatus(last)

	case isStopped(last):
		return blockedError(last)
	}

	if err := a.print("\n" + runText(last)); err != nil {
		return err
	}

	return runStatus(last)
}

// run follows the run and returns its last state, or the error that ended the
// attempt.
func (f *follower) run(ctx context.Context) (*recoveryrpc.Run, error) {
	delay, failures := firstDelay, 0
	for {
		received, last, err := f.stream(ctx)
		switch {
		// The run was seen to its end, whatever came after.
		case f.over != nil && ctx.Err() == nil:
			return f.over, nil

		case last != nil:
			return last, nil

		case !isPassing(err) || ctx.Err() != nil:
			return nil, err
		}

		if received {
			delay, failures = firstDelay, 0
		}
		failures++
		if failures > maxReconnects {
			return nil, lostError(err)
		}

		if err := f.view.lost(err); err != nil {
			return nil, err
		}
		if err := f.pause(ctx, delay); err != nil {
			return nil, err
		}
		delay = min(2*delay, maxDelay)

		// gRPC has a patience of its own, which is longer.
		f.client.conn.ResetConnectBackoff()
	}
}

// stream follows the run over one connection. It returns whether anything was
// received and, if there is no more to follow, the run.
func (f *follower) stream(ctx context.Context) (bool, *recoveryrpc.Run,
	error) {

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	stream, err := f.client.SubscribeRecovery(
		ctx, &recoveryrpc.SubscribeRecoveryRequest{
			Id: f.id, FromSeq: f.next,
		},
	)
	if err != nil {
		return false, nil, err
	}

	for received := false; ; received = true {
		update, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			err = errEnded
		}
		if err != nil {
			return received, nil, err
		}

		if f.isNew(update) {
			if err := f.view.update(update); err != nil {
				return true, nil, err
			}
		}

		run := update.GetRun()
		if !f.isOver(run) {
			continue
		}
		if !awaitsListing(run) {
			return true, run, nil
		}
		if f.over == nil {
			defer time.AfterFunc(listLimit, cancel).Stop()
		}
		f.over = run
	}
}

// awaitsListing reports whether a run has found deposits of which loopd has not
// said yet whether the swap client lists them.
func awaitsListing(run *recoveryrpc.Run) bool {
	return states.State(run.GetState()) == states.Reconciled &&
		run.GetFinished() && !allListed(run) && hasUnspent(run)
}

// isNew reports whether an update was not shown before, and notes its event.
func (f *follower) isNew(update *recoveryrpc.RecoveryUpdate) bool {
	event := update.GetEvent()
	if event == nil {
		return true
	}
	if event.GetSeq() < f.next {
		return false
	}
	f.next = event.GetSeq() + 1

	return true
}

// isOver reports whether there is no more to follow: the run has ended, or
// waits for a person, and all its events were received.
func (f *follower) isOver(run *recoveryrpc.Run) bool {
	over := run.GetFinished() || isStopped(run)

	return over && run.GetLastSeq() < f.next
}

// isStopped reports whether a run does not go on without a person.
func isStopped(run *recoveryrpc.Run) bool {
	return run.GetHalted() ||
		states.State(run.GetState()) == states.Blocked
}

// isPassing reports whether following can be tried again after an error.
func isPassing(err error) bool {
	if errors.Is(err, errEnded) {
		return true
	}

	received, ok := status.FromError(err)
	if !ok {
		return false
	}
	switch received.Code() {
	case codes.Unavailable, codes.Canceled, codes.Aborted,
		codes.ResourceExhausted:

		return true

	default:
		return false
	}
}

// lostError explains that loopd stayed away.
func lostError(err error) error {
	explained := explain(err)

	return &userError{
		code: exitConnection,
		what: "The connection to loopd was lost. " + explained.what,
		untouched: "The recovery goes on as soon as loopd runs; " +
			"nothing it has done is lost.",
		next:  "loop recover status --watch",
		cause: err,
	}
}

// blockedError explains why a run waits for a person.
func blockedError(run *recoveryrpc.Run) *userError {
	explained := &userError{
		code:      exitBlocked,
		what:      withDetail(run.GetSentence(), run.GetDetail()),
		untouched: run.GetUntouched(),
		next:      run.GetNextCommand(),
	}

	// A daemon may leave the text to us.
	if run.GetSentence() == "" {
		text := states.Explain(states.Reason(run.GetReason()))
		explained.what = withDetail(text.Sentence, run.GetDetail())
		explained.untouched = text.Untouched
		explained.next = text.Next
	}

	return explained
}

// jsonView prints each message as one line of JSON.
type jsonView struct {
	out io.Writer
}

// update implements view.
func (v *jsonView) update(update *recoveryrpc.RecoveryUpdate) error {
	return printJSONLine(v.out, update)
}

// lost implements view. A script sees it by what does not come.
func (v *jsonView) lost(error) error {
	return nil
}

// end implements view.
func (v *jsonView) end() error {
	return nil
}
