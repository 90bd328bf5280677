package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/urfave/cli/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// userError is an error as a person is told it: what happened, what was left
// as it was and what to type next.
type userError struct {
	// code is the exit code.
	code int

	// what, untouched and next are the three parts.
	what, untouched, next string

	// cause is the error behind it, if there is one.
	cause error
}

// Error implements error.
func (e *userError) Error() string {
	return e.what
}

// Unwrap returns the cause.
func (e *userError) Unwrap() error {
	return e.cause
}

// print writes the three parts. They may hold text that came from elsewhere.
func (e *userError) print(w io.Writer) {
	fmt.Fprintf(w, "[loop] %s\n", clean(e.what))
	if e.untouched != "" {
		fmt.Fprintf(w, "       untouched: %s\n", clean(e.untouched))
	}
	if e.next != "" {
		fmt.Fprintf(w, "       next: %s\n", clean(e.next))
	}
}

// usageError says that a command line is wrong.
func usageError(cmd *cli.Command, what string) error {
	return &userError{
		code: exitUsage,
		what: fmt.Sprintf("%s: %s", cmd.FullName(), what),

		untouched: "Nothing was sent to loopd.",
		next:      cmd.FullName() + " --help",
	}
}

// untouchedUnknown is said where loopd reported a failure without a reason.
const untouchedUnknown = "This command itself changed nothing; what loopd " +
	"did, it tells."

// explain turns any error into what a person is told.
func explain(err error) *userError {
	var known *userError
	if errors.As(err, &known) {
		return known
	}

	if reason, ok := recoveryrpc.ReasonOf(err); ok {
		return explainReason(
			reason, recoveryrpc.DetailOf(err), status.Code(err),
		)
	}

	// An error without a status did not come from loopd.
	received, ok := status.FromError(err)
	if !ok {
		return &userError{
			code:  exitFailure,
			what:  err.Error(),
			cause: err,
		}
	}

	return explainCode(received)
}

// explainReason is explain for an error that carries one of our reasons.
func explainReason(reason states.Reason, detail string,
	code codes.Code) *userError {

	text := states.ExplainWithoutRun(reason)

	exit, judged := verdictCode(reason)
	if !judged {
		exit = exitCodeOf(code)
	}

	return &userError{
		code:      exit,
		what:      withDetail(text.Sentence, detail),
		untouched: text.Untouched,
		next:      text.Next,
	}
}

// unansweredStatus is the error of a status that loopd refused to give. Before
// lnd was first unlocked nobody can be authenticated, so that loopd says no
// more than the reason; where it does not pass by itself the exit code is that
// of a recovery that waits for a person.
func unansweredStatus(err error) error {
	reason, ok := recoveryrpc.ReasonOf(err)
	if !ok || status.Code(err) != codes.Unavailable {
		return err
	}

	explained := explain(err)
	if states.NeedsPerson(reason) {
		explained.code = exitBlocked
	}
	explained.what = string(reason) + ": " + explained.what +
		" The cause is in loopd's log and on its standard error."

	return explained
}

// verdictCode returns the exit code of the verdict that a reason stands for, if
// it stands for one.
func verdictCode(reason states.Reason) (int, bool) {
	for _, verdict := range backup.Verdicts() {
		if reason != "" && verdict.Reason() == reason {
			return verdict.ExitCode(), true
		}
	}

	return 0, false
}

// exitCodeOf returns the exit code for the code of a failed call.
func exitCodeOf(code codes.Code) int {
	switch code {
	case codes.InvalidArgument:
		return exitUsage

	case codes.NotFound:
		return exitNotFound

	case codes.Unavailable, codes.DeadlineExceeded:
		return exitConnection

	default:
		return exitFailure
	}
}

// explainCode is explain for an error of gRPC itself, or of a loopd that does
// not know our reasons.
func explainCode(received *status.Status) *userError {
	explained := &userError{
		code:      exitCodeOf(received.Code()),
		what:      received.Message(),
		untouched: untouchedUnknown,
		next:      "loop recover status",
		cause:     received.Err(),
	}

	switch received.Code() {
	case codes.Unavailable:
		explained.what = "loopd cannot be reached: " +
			received.Message()
		explained.untouched = "Nothing was changed by this command."
		explained.next = "start loopd, or say where it is: " +
			"--rpcserver, --network, --loopdir, --tlscertpath"

	case codes.Canceled:
		explained.code = exitDetached
		explained.what = "Interrupted before loopd had answered."
		explained.untouched = "It is not known whether loopd has " +
			"carried it out."

	case codes.DeadlineExceeded:
		explained.what = "loopd did not answer in time."

	case codes.Unimplemented:
		explained.what = "This loopd does not know recoveries: it " +
			"is upstream's, or too old."
		explained.untouched = "Nothing was changed."
		explained.next = "stop it and start the loopd that came " +
			"with this program, on the same directory"

	case codes.Unauthenticated, codes.PermissionDenied:
		explained.what = "loopd refused the macaroon: " +
			received.Message()
		explained.untouched = "Nothing was changed."
		explained.next = "name a macaroon of this loopd: " +
			"--macaroonpath FILE"
	}

	return explained
}

// withDetail appends the thing concerned to a sentence.
func withDetail(sentence, detail string) string {
	if detail == "" {
		return sentence
	}

	return sentence + " (" + detail + ")"
}
