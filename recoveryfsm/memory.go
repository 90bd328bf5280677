package recoveryfsm

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
)

// Save names one of the saves of a Journal.
type Save string

// The saves of a Journal.
const (
	SaveCreate   Save = "CreateRun"
	SaveIntent   Save = "SaveIntent"
	SaveStatus   Save = "SaveStatus"
	SaveStep     Save = "SaveStep"
	SaveProgress Save = "SaveProgress"
)

// MemoryJournal is a Journal in memory. It outlives an engine, as a file
// outlives a process, and lets tests see and fail every save.
type MemoryJournal struct {
	mutex  sync.Mutex
	runs   map[string][]byte
	events map[string][]Event

	// saves counts the saves that were begun.
	saves int

	// before is called before a save, after after it was stored.
	before, after func(n int, save Save) error
}

// A compile-time check of the interface.
var _ Journal = (*MemoryJournal)(nil)

// NewMemoryJournal returns an empty journal.
func NewMemoryJournal() *MemoryJournal {
	return &MemoryJournal{
		runs:   make(map[string][]byte),
		events: make(map[string][]Event),
	}
}

// SetHooks sets functions that are called in every save, with its number from 1
// and its kind. If before returns an error the save fails with it and nothing
// is stored; if after does the save fails with it although it was stored, as a
// commit can. Either may be nil. They run under the journal's lock.
func (m *MemoryJournal) SetHooks(before, after func(n int, save Save) error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()

	m.before, m.after = before, after
}

// Saves returns the number of saves that were begun.
func (m *MemoryJournal) Saves() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()

	return m.saves
}

// CreateRun implements Journal.
func (m *MemoryJournal) CreateRun(ctx context.Context, run Run) error {
	return m.save(ctx, SaveCreate, func() error {
		all, err := m.all()
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, func(other Run) bool {
			return !other.Finished
		}) {
			return ErrUnfinished
		}

		return m.put(run)
	})
}

// SaveIntent implements Journal.
func (m *MemoryJournal) SaveIntent(ctx context.Context, run Run) error {
	return m.save(ctx, SaveIntent, func() error {
		stored, err := m.expect(run.ID, run.Position())
		if err != nil {
			return err
		}
		stored.Acting = run.Acting
		stored.NextRetry = run.NextRetry
		stored.Updated = run.Updated

		return m.put(stored)
	})
}

// SaveStatus implements Journal.
func (m *MemoryJournal) SaveStatus(ctx context.Context, run Run) error {
	return m.save(ctx, SaveStatus, func() error {
		return m.replace(run, run.Position())
	})
}

// SaveStep implements Journal.
func (m *MemoryJournal) SaveStep(ctx context.Context, run Run,
	event Event) error {

	return m.save(ctx, SaveStep, func() error {
		err := m.replace(run, event.Position())
		if err != nil {
			return err
		}
		m.events[run.ID] = append(m.events[run.ID], event)

		return nil
	})
}

// SaveProgress implements Journal.
func (m *MemoryJournal) SaveProgress(ctx context.Context, id string,
	progress Progress) error {

	return m.save(ctx, SaveProgress, func() error {
		stored, err := m.get(id)
		if err != nil {
			return err
		}
		stored.Progress = &progress

		return m.put(stored)
	})
}

// Run implements Journal.
func (m *MemoryJournal) Run(_ context.Context, id string) (Run, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()

	return m.get(id)
}

// Runs implements Journal.
func (m *MemoryJournal) Runs(_ context.Context, limit int) ([]Run, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()

	all, err := m.all()

	return all[:min(limit, len(all))], err
}

// Unfinished implements Journal.
func (m *MemoryJournal) Unfinished(_ context.Context) (*Run, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()

	all, err := m.all()
	if err != nil {
		return nil, err
	}
	for _, run := range all {
		if !run.Finished {
			return &run, nil
		}
	}

	return nil, nil
}

// Events implements Journal.
func (m *MemoryJournal) Events(_ context.Context, id string, after uint64,
	limit int) ([]Event, error) {

	m.mutex.Lock()
	defer m.mutex.Unlock()

	events := m.events[id]
	from := min(after, uint64(len(events)))
	events = events[from:]

	return slices.Clone(events[:min(limit, len(events))]), nil
}

// save runs one save between its hooks.
func (m *MemoryJournal) save(ctx context.Context, kind Save,
	store func() error) error {

	m.mutex.Lock()
	defer m.mutex.Unlock()

	if err := ctx.Err(); err != nil {
		return err
	}

	m.saves++
	n := m.saves
	if m.before != nil {
		if err := m.before(n, kind); err != nil {
			return err
		}
	}
	if err := store(); err != nil {
		return err
	}
	if m.after != nil {
		return m.after(n, kind)
	}

	return nil
}

// replace stores all of a run but its progress, if what is stored is where the
// save expects it.
func (m *MemoryJournal) replace(run Run, expected Position) error {
	stored, err := m.expect(run.ID, expected)
	if err != nil {
		return err
	}
	run.Progress = stored.Progress
	run.Created = stored.Created

	return m.put(run)
}

// expect returns the stored run if it is at the given position.
func (m *MemoryJournal) expect(id string, position Position) (Run, error) {
	stored, err := m.get(id)
	if err != nil {
		return Run{}, err
	}
	if stored.Finished || stored.Position() != position {
		return Run{}, ErrConflict
	}

	return stored, nil
}

// put stores a run as JSON, so that nobody shares its maps and slices.
func (m *MemoryJournal) put(run Run) error {
	run.Halted = nil
	text, err := json.Marshal(run)
	if err != nil {
		return err
	}
	m.runs[run.ID] = text

	return nil
}

// get returns a run.
func (m *MemoryJournal) get(id string) (Run, error) {
	text, ok := m.runs[id]
	if !ok {
		return Run{}, ErrNoRun
	}

	var run Run
	err := json.Unmarshal(text, &run)

	return run, err
}

// all returns all runs, newest first.
func (m *MemoryJournal) all() ([]Run, error) {
	runs := make([]Run, 0, len(m.runs))
	for id := range m.runs {
		run, err := m.get(id)
		if err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	slices.SortFunc(runs, newestFirst)

	return runs, nil
}
