package recoveryserver

import (
	"context"
	"encoding/json"
	"time"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
)

const (
	// askEvery is the time between two questions for the deposits that the
	// embedded daemon lists: it looks for new ones every ten seconds, and
	// at each block.
	askEvery = time.Second

	// askLimit is how long it may take to list what a recovery found.
	askLimit = 30 * time.Second

	// answerLimit bounds one such question.
	answerLimit = 10 * time.Second
)

// What is said of an unspent output of a result.
const (
	listedYes   = "yes"
	listedNo    = "no"
	listedNever = "not its own"
)

// listing is which deposits of a result the embedded daemon lists.
type listing struct {
	// run is the id of the run that has the result.
	run string

	deposits []*recoveryrpc.Deposit
}

// complete reports whether everything is listed that can be.
func (l *listing) complete() bool {
	for _, deposit := range l.deposits {
		if deposit.Listed == listedNo {
			return false
		}
	}

	return true
}

// hasResult reports whether a run has a result whose deposits may be listed.
func hasResult(run recoveryfsm.Run) bool {
	return run.Finished && run.State == states.Reconciled
}

// listed returns what the embedded daemon last said about a run's result.
func (s *Server) listed(run recoveryfsm.Run) []*recoveryrpc.Deposit {
	if last := s.listing.Load(); last != nil && last.run == run.ID {
		return last.deposits
	}

	return nil
}

// ask asks the embedded daemon which deposits of a result it lists.
func (s *Server) ask(ctx context.Context, run recoveryfsm.Run) (*listing,
	error) {

	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()

	outpoints, err := s.cfg.Daemon.Deposits(ctx)
	if err != nil {
		return nil, err
	}
	deposits, err := compare(run.Facts.Summary, outpoints)
	if err != nil {
		return nil, err
	}
	answer := &listing{run: run.ID, deposits: deposits}
	s.listing.Store(answer)

	return answer, nil
}

// askBeside asks without waiting for the answer, which the next status shows.
func (s *Server) askBeside(run recoveryfsm.Run) {
	if !hasResult(run) || !s.asking.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer s.asking.Store(false)

		// An embedded daemon that is not up lists nothing yet.
		_, _ = s.ask(s.life, run)
	}()
}

// awaitListed asks until the embedded daemon lists all that it can of a result,
// or the time for that is over.
func (s *Server) awaitListed(ctx context.Context, run recoveryfsm.Run) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()

	tick := time.NewTicker(s.askEvery)
	defer tick.Stop()
	for {
		answer, err := s.ask(ctx, run)
		if err == nil && answer.complete() {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// compare returns each unspent output of a summary with whether it is among
// the outpoints.
func compare(summary []byte, outpoints []string) ([]*recoveryrpc.Deposit,
	error) {

	var result actions.Summary
	if err := json.Unmarshal(summary, &result); err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(outpoints))
	for _, outpoint := range outpoints {
		known[outpoint] = true
	}

	var deposits []*recoveryrpc.Deposit
	for _, output := range result.Outputs {
		if output.SpendTxID != "" {
			continue
		}
		listed := listedNo
		switch {
		case known[output.OutPoint]:
			listed = listedYes

		case output.KeyFamily != result.KeyFamily ||
			output.KeyIndex != result.KeyIndex:

			listed = listedNever
		}
		deposits = append(deposits, &recoveryrpc.Deposit{
			Outpoint: output.OutPoint, Listed: listed,
		})
	}

	return deposits, nil
}
