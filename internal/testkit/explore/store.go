package explore

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
)

// store is the journal as it is on the disk. It does what
// recoveryfsm.MemoryJournal does, without turning runs into text and back,
// which would take most of the time; the suite of journals checks it too.
type store struct {
	mu     sync.Mutex
	runs   []recoveryfsm.Run
	events map[string][]recoveryfsm.Event
}

// A compile-time check of the interface.
var _ recoveryfsm.Journal = (*store)(nil)

// newStore returns an empty journal.
func newStore() *store {
	return &store{events: make(map[string][]recoveryfsm.Event)}
}

// intended reports whether the intent of a run to act is saved, in a state of
// whose effects the table has one of the given.
func (s *store) intended(wanted []states.Effect) bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	return slices.ContainsFunc(s.runs, func(run recoveryfsm.Run) bool {
		table, _ := states.Lookup(run.Kind, run.Version)

		return run.Acting && slices.ContainsFunc(
			wanted, table.Row(run.State).Allows,
		)
	})
}

// state returns the state of the unfinished run, or nothing.
func (s *store) state() states.State {
	s.mu.Lock()
	defer s.mu.Unlock()

	if run := s.unfinished(); run != nil {
		return run.State
	}

	return ""
}

// own returns a copy of a run that shares nothing which anybody changes in
// place: facts replace each other, but for the one map that counts.
func own(run recoveryfsm.Run) recoveryfsm.Run {
	run.Facts.Effects.KeysAdvanced = maps.Clone(
		run.Facts.Effects.KeysAdvanced,
	)
	run.Halted = nil

	return run
}

// CreateRun implements recoveryfsm.Journal.
func (s *store) CreateRun(ctx context.Context, run recoveryfsm.Run) error {
	if err := ctx.Err(); err != nil {
		return err
	}

	s.mu.Lock()
	defer s.mu.Unlock()

	if s.unfinished() != nil {
		return recoveryfsm.ErrUnfinished
	}
	s.runs = append(s.runs, own(run))

	return nil
}

// SaveIntent implements recoveryfsm.Journal.
func (s *store) SaveIntent(ctx context.Context, run recoveryfsm.Run) error {
	return s.change(ctx, run.ID, run.Position(),
		func(stored *recoveryfsm.Run) {

			stored.Acting = run.Acting
			stored.NextRetry = run.NextRetry
			stored.Updated = run.Updated
		})
}

// SaveStatus implements recoveryfsm.Journal.
func (s *store) SaveStatus(ctx context.Context, run recoveryfsm.Run) error {
	return s.replace(ctx, run, run.Position())
}

// SaveStep implements recoveryfsm.Journal.
func (s *store) SaveStep(ctx context.Context, run recoveryfsm.Run,
	event recoveryfsm.Event) error {

	err := s.replace(ctx, run, event.Position())
	if err == nil {
		s.mu.Lock()
		s.events[run.ID] = append(s.events[run.ID], event)
		s.mu.Unlock()
	}

	return err
}

// SaveProgress implements recoveryfsm.Journal.
func (s *store) SaveProgress(_ context.Context, id string,
	progress recoveryfsm.Progress) error {

	s.mu.Lock()
	defer s.mu.Unlock()

	stored := s.find(id)
	if stored == nil {
		return recoveryfsm.ErrNoRun
	}
	stored.Progress = &progress

	return nil
}

// Run implements recoveryfsm.Journal.
func (s *store) Run(_ context.Context, id string) (recoveryfsm.Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if stored := s.find(id); stored != nil {
		return own(*stored), nil
	}

	return recoveryfsm.Run{}, recoveryfsm.ErrNoRun
}

// Runs implements recoveryfsm.Journal.
func (s *store) Runs(_ context.Context, limit int) ([]recoveryfsm.Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	runs := make([]recoveryfsm.Run, 0, len(s.runs))
	for _, run := range s.runs {
		runs = append(runs, own(run))
	}
	slices.SortFunc(runs, func(a, b recoveryfsm.Run) int {
		return cmp.Or(
			b.Created.Compare(a.Created),
			cmp.Compare(b.ID, a.ID),
		)
	})

	return runs[:min(limit, len(runs))], nil
}

// Unfinished implements recoveryfsm.Journal.
func (s *store) Unfinished(context.Context) (*recoveryfsm.Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	found := s.unfinished()
	if found == nil {
		return nil, nil
	}
	run := own(*found)

	return &run, nil
}

// Events implements recoveryfsm.Journal.
func (s *store) Events(_ context.Context, id string, after uint64, limit int) (
	[]recoveryfsm.Event, error) {

	s.mu.Lock()
	defer s.mu.Unlock()

	events := s.events[id]
	events = events[min(after, uint64(len(events))):]

	return slices.Clone(events[:min(limit, len(events))]), nil
}

// unfinished returns the stored run that is not finished, or nil.
func (s *store) unfinished() *recoveryfsm.Run {
	for i := range s.runs {
		if !s.runs[i].Finished {
			return &s.runs[i]
		}
	}

	return nil
}

// find returns a stored run, or nil.
func (s *store) find(id string) *recoveryfsm.Run {
	for i := range s.runs {
		if s.runs[i].ID == id {
			return &s.runs[i]
		}
	}

	return nil
}

// change changes a stored run that is where the save expects it.
func (s *store) change(ctx context.Context, id string,
	expected recoveryfsm.Position, change func(*recoveryfsm.Run)) error {

	if err := ctx.Err(); err != nil {
		return err
	}

	s.mu.Lock()
	defer s.mu.Unlock()

	stored := s.find(id)
	switch {
	case stored == nil:
		return recoveryfsm.ErrNoRun

	case stored.Finished || stored.Position() != expected:
		return recoveryfsm.ErrConflict
	}
	change(stored)

	return nil
}

// replace stores all of a run but its progress and the time of its creation.
func (s *store) replace(ctx context.Context, run recoveryfsm.Run,
	expected recoveryfsm.Position) error {

	return s.change(ctx, run.ID, expected, func(stored *recoveryfsm.Run) {
		run.Progress, run.Created = stored.Progress, stored.Created
		*stored = own(run)
	})
}

// boundaryJournal is the journal as a process sees it: with a boundary on
// either side of each save, and gone when the process is.
type boundaryJournal struct {
	recoveryfsm.Journal

	schedule *schedule
}

// CreateRun implements recoveryfsm.Journal. The run that is saved is the one
// that is followed from then on, so that all that it does counts as its own.
func (j *boundaryJournal) CreateRun(ctx context.Context,
	run recoveryfsm.Run) error {

	return j.save("CreateRun", true, func() error {
		err := j.Journal.CreateRun(ctx, run)
		if err == nil {
			j.schedule.setRun(run.ID)
		}

		return err
	})
}

// SaveIntent implements recoveryfsm.Journal.
func (j *boundaryJournal) SaveIntent(ctx context.Context,
	run recoveryfsm.Run) error {

	return j.save("SaveIntent", false, func() error {
		return j.Journal.SaveIntent(ctx, run)
	})
}

// SaveStatus implements recoveryfsm.Journal.
func (j *boundaryJournal) SaveStatus(ctx context.Context,
	run recoveryfsm.Run) error {

	return j.save("SaveStatus", false, func() error {
		return j.Journal.SaveStatus(ctx, run)
	})
}

// SaveStep implements recoveryfsm.Journal. A step that takes a run up, or makes
// room for one, is saved before the run is under way.
func (j *boundaryJournal) SaveStep(ctx context.Context, run recoveryfsm.Run,
	event recoveryfsm.Event) error {

	begins := event.Event == states.Resume ||
		event.Reason == states.Superseded

	return j.save("SaveStep", begins, func() error {
		return j.Journal.SaveStep(ctx, run, event)
	})
}

// save makes a save between its two boundaries.
func (j *boundaryJournal) save(name string, begins bool,
	store func() error) error {

	s := j.schedule
	if s.scene.Crashed() {
		return twin.ErrCrashed
	}
	at := place{
		Point:  twin.Point{Call: journalCalls + name},
		Begins: begins,
	}
	if err := s.pass(context.Background(), at); err != nil {
		return err
	}
	if err := store(); err != nil {
		return err
	}
	s.settle(name)

	at.After = true

	return s.pass(context.Background(), at)
}
