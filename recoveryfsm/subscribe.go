package recoveryfsm

import (
	"context"
	"iter"
)

// Update is what a subscriber is told.
type Update struct {
	// Event is the next event of the run, or nil if only the run changed.
	Event *Event

	// Run is the run as it was after the event, or later: LastSeq says how
	// many events are still to come.
	Run Run
}

// Subscribe returns the updates of a run. It yields every event with a number
// greater than after once and in order, however slow or late the subscriber is:
// they are read from the journal. In between it yields the run without an event
// whenever it changed, leaving out what is outdated by then. The first update
// comes at once.
//
// The sequence ends by itself after the last event of a run that is finished.
// It ends with an error if the context or the engine ends, or the journal
// fails. The subscriber can break off at any time.
func (e *Engine) Subscribe(ctx context.Context, id string,
	after uint64) iter.Seq2[Update, error] {

	return func(yield func(Update, error) bool) {
		for {
			changed := e.changes()
			updates, err := e.updates(ctx, id, after)
			if err != nil {
				yield(Update{}, err)
				return
			}

			for _, update := range updates {
				if update.Event != nil {
					after = update.Event.Seq
				}
				if !yield(update, nil) {
					return
				}
			}

			run := updates[len(updates)-1].Run
			if after < run.LastSeq {
				continue
			}
			if run.Finished {
				return
			}
			if err := e.await(ctx, changed); err != nil {
				yield(Update{}, err)
				return
			}
		}
	}
}

// updates returns the next events of a run with the run as it is, or the run
// alone if there are none.
func (e *Engine) updates(ctx context.Context, id string, after uint64) (
	[]Update, error) {

	// The events are read first, so that the run is not older than they.
	events, err := e.cfg.Journal.Events(ctx, id, after, eventsAtOnce)
	if err != nil {
		return nil, err
	}
	run, err := e.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(events) == 0 {
		return []Update{{Run: run}}, nil
	}

	updates := make([]Update, 0, len(events))
	for _, event := range events {
		updates = append(updates, Update{Event: &event, Run: run})
	}

	return updates, nil
}
