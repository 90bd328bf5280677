package keeper

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/durable"
)

// State is how a place is.
type State string

// The states of a place.
const (
	// Unasked: nobody has looked yet.
	Unasked State = "not asked yet"

	// Answering: the directory was read.
	Answering State = "answering"

	// Silent: a call in the place has not returned.
	Silent State = "does not answer"

	// Unreadable: the directory cannot be read.
	Unreadable State = "unreadable"

	// Empty: nothing is mounted where the place used to be.
	Empty State = "not mounted"
)

// PlaceStatus is what is known about a place, from memory.
type PlaceStatus struct {
	// Place is the directory.
	Place string

	// State is how it is, since when, and why if it does not answer.
	State State
	Since time.Time
	Err   error

	// Answered says whether the place was listed since the process began:
	// what it held then is known, but for what was too much to look at.
	Answered bool

	// Crowded says that it holds more than is looked at, and Weak that a
	// power cut can leave a torn file in it.
	Crowded, Weak bool
}

// place is one backup place.
type place struct {
	dir    string
	store  *backup.Store
	files  durable.FS
	disk   Disk
	memory Memory
	now    func() time.Time

	// life ends with the keeper.
	life context.Context

	// weighed is the directory as it was when weak was found out, nil if
	// nobody has yet. It belongs to the place's goroutine.
	weighed *Identity

	// mu guards what follows. It is never held over input or output.
	mu sync.Mutex

	// current is the operation under way, silent whether it is overdue,
	// and overdue what makes it so.
	current *operation
	silent  bool
	overdue *time.Timer

	// state is the outcome of the last operation, and answered whether the
	// place was ever listed. The flags are those of PlaceStatus.
	state         State
	since         time.Time
	err           error
	answered      bool
	crowded, weak bool

	// identity is the directory as it was last seen.
	identity Identity

	// lag is the backup of the generation in place that the place lacks,
	// and damage what the last check found.
	lag    *Lag
	damage string

	// queued is a delivery that has not begun yet.
	queued *delivery
}

// status returns what is known about the place.
func (p *place) status() PlaceStatus {
	p.mu.Lock()
	defer p.mu.Unlock()

	status := PlaceStatus{
		Place: p.dir, State: p.state, Since: p.since, Err: p.err,
		Answered: p.answered, Crowded: p.crowded, Weak: p.weak,
	}
	if p.silent {
		status.State, status.Since = Silent, p.current.began
		status.Err = &SilentError{Since: status.Since}
	}

	return status
}

// errSlow says that a place answers too slowly to be read.
var errSlow = fmt.Errorf("was not read to its end within %v", operationLimit)

// note keeps how the place is. What changes is logged once. That the process
// ends says nothing about a place.
func (p *place) note(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errSlow
	}

	state := Answering
	var empty *EmptyError
	switch {
	case errors.As(err, &empty):
		state = Empty

	case err != nil:
		state = Unreadable
	}

	p.mu.Lock()
	defer p.mu.Unlock()

	if state != p.state {
		p.since = p.now()
		if err != nil {
			log.Warnf("The backup place %s: %v", p.dir, err)
		}
	}
	p.state, p.err = state, err
}

// enter looks at the directory itself before anything is done in it.
func (p *place) enter(ctx context.Context) error {
	identity, err := p.disk.Identify(p.dir)
	if err == nil {
		err = p.checkMounted(ctx, identity)
	}
	if err != nil {
		p.note(err)
		return err
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	p.identity = identity

	return nil
}

// checkMounted tells an empty mount point: the file system that the place used
// to be on is mounted below the one that the directory is on now, and there is
// no backup in it. Otherwise where it is mounted now is remembered.
func (p *place) checkMounted(ctx context.Context, identity Identity) error {
	if !identity.known() {
		return nil
	}
	root, err := p.memory.MountRoot(ctx, p.dir)
	if err != nil {
		log.Debugf("Where %s was mounted is not known: %v", p.dir, err)
	}
	if root == identity.MountRoot {
		return nil
	}
	if isBelow(root, identity.MountRoot) && !p.holdsBackup() {
		return &EmptyError{MountRoot: root}
	}

	err = p.memory.RecordMountRoot(ctx, p.dir, identity.MountRoot)
	if err != nil {
		log.Debugf("Where %s is mounted is not kept: %v", p.dir, err)
	}

	return nil
}

// isBelow reports whether a path is below another one.
func isBelow(path, above string) bool {
	relative, err := filepath.Rel(above, path)

	return path != "" && err == nil && relative != "." &&
		relative != ".." && !strings.HasPrefix(
		relative, ".."+string(filepath.Separator),
	)
}

// holdsBackup reports whether there is a file with a backup's name.
func (p *place) holdsBackup() bool {
	entries, err := p.files.ReadDir(p.dir, backup.MaxNames)
	if err != nil && !errors.Is(err, backup.ErrCrowded) {
		return false
	}
	for _, entry := range entries {
		if _, _, ok := backup.ParseName(entry.Name()); ok {
			return true
		}
	}

	return false
}

// list judges every file in the place whose name claims to be a backup. An
// error that is not the context's is a *backup.PlaceError.
func (p *place) list(ctx context.Context, keys backup.Keys) ([]backup.Entry,
	error) {

	entries, err := perform(ctx, p, func(ctx context.Context) (
		[]backup.Entry, error) {

		if err := p.enter(ctx); err != nil {
			return nil, err
		}
		entries, err := p.store.List(ctx, keys)

		return entries, p.noteListed(err)
	})
	if err == nil || errors.Is(err, context.Canceled) {
		return entries, err
	}

	return entries, p.fail(err)
}

// noteListed keeps that the place was listed, to its end or not, and returns
// why not. More files than are looked at are a warning and no error: somebody
// who may write to a share must not be able to hold anything up.
func (p *place) noteListed(err error) error {
	crowded := errors.Is(err, backup.ErrCrowded)
	if crowded {
		err = nil
	}
	p.note(cause(err))

	p.mu.Lock()
	defer p.mu.Unlock()

	p.crowded = crowded
	p.answered = p.answered || err == nil

	return err
}

// fail returns an error that names the place.
func (p *place) fail(err error) error {
	return &backup.PlaceError{Place: p.dir, Err: cause(err)}
}

// cause returns an error without the place that it names.
func cause(err error) error {
	var failed *backup.PlaceError
	if errors.As(err, &failed) {
		return failed.Err
	}

	return err
}

// seen returns the directory as it was last seen.
func (p *place) seen() Identity {
	p.mu.Lock()
	defer p.mu.Unlock()

	return p.identity
}
