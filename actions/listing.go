package actions

import (
	"context"
	"time"

	"github.com/btcsuite/btcd/wire"
)

const (
	// listingWait is how long Reconciled waits for the embedded daemon to
	// list what was found.
	listingWait = 30 * time.Second

	// listingPoll is the time between two questions.
	listingPoll = 500 * time.Millisecond
)

// Listed says whether the embedded daemon lists a deposit that was found.
type Listed string

// The answers.
const (
	// ListedYes: it lists the deposit, which can be spent with it.
	ListedYes Listed = "yes"

	// ListedNo: it did not list the deposit within half a minute; it may do
	// so later.
	ListedNo Listed = "no"

	// ListedNotOwn: the deposit pays a child of the multi-address families,
	// which the embedded daemon cannot own.
	ListedNotOwn Listed = "not its own"

	// ListedUnknown: the embedded daemon could not be asked.
	ListedUnknown Listed = "unknown"
)

// Listing asks the embedded daemon for its deposits.
type Listing interface {
	// Listed returns the outpoints of the deposits that the embedded daemon
	// lists, of whatever state. An error means that it is not up, or did
	// not answer. It heeds its context.
	Listed(ctx context.Context) ([]wire.OutPoint, error)
}

// awaitListing returns, for each unspent output of a summary, whether the
// embedded daemon lists it. It waits for that, with a bound, and not at all if
// there is nothing to wait for. A daemon that cannot be asked is an answer and
// no error: the result does not depend on it.
func (r *run) awaitListing(ctx context.Context, summary *Summary) (
	map[string]Listed, error) {

	answers := make(map[string]Listed)
	waiting := 0
	for _, output := range summary.Outputs {
		switch {
		case output.SpendTxID != "":

		case output.KeyFamily != summary.KeyFamily:
			answers[output.OutPoint] = ListedNotOwn

		default:
			answers[output.OutPoint] = ListedUnknown
			waiting++
		}
	}
	if waiting == 0 || r.Listing == nil {
		return answers, nil
	}

	bounded, cancel := context.WithTimeout(ctx, listingWait)
	defer cancel()
	for !r.askListing(bounded, answers) {
		select {
		case <-time.After(listingPoll):
		case <-bounded.Done():
			// The run's own end is none of the wait.
			return answers, ctx.Err()
		}
	}

	return answers, nil
}

// askListing asks once, and reports whether there is nothing left to wait for.
// An answer replaces an earlier one; no answer leaves it.
func (r *run) askListing(ctx context.Context, answers map[string]Listed) bool {
	listed, err := r.Listing.Listed(ctx)
	if err != nil {
		return false
	}
	there := make(map[string]bool, len(listed))
	for _, outPoint := range listed {
		there[outPoint.String()] = true
	}

	all := true
	for outPoint, answer := range answers {
		switch {
		case answer == ListedNotOwn:

		case there[outPoint]:
			answers[outPoint] = ListedYes

		default:
			answers[outPoint] = ListedNo
			all = false
		}
	}

	return all
}
