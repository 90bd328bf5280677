package twin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sync"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
)

// Backups holds the backup files of all places.
type Backups struct {
	calls *calls

	mu         sync.Mutex
	files      map[string]backup.Entry
	unreadable map[string]error
}

var _ actions.Backups = (*Backups)(nil)

// List judges the files of all places, in the order of their paths.
func (b *Backups) List(ctx context.Context) ([]backup.Entry, error) {
	var (
		entries []backup.Entry
		errs    []error
	)
	err := b.calls.doLnd(ctx, "backups.List", func() error {
		b.mu.Lock()
		defer b.mu.Unlock()

		for _, name := range slices.Sorted(maps.Keys(b.files)) {
			if b.unreadable[path.Dir(name)] == nil {
				entries = append(entries, b.files[name])
			}
		}
		for place, err := range b.unreadable {
			errs = append(errs, &backup.PlaceError{
				Place: place,
				Err:   err,
			})
		}

		return nil
	})
	if err != nil {
		return nil, err
	}

	return entries, errors.Join(errs...)
}

// Judge judges one file.
func (b *Backups) Judge(ctx context.Context, name string) (backup.Entry,
	error) {

	var entry backup.Entry
	err := b.calls.doLnd(ctx, "backups.Judge", func() error {
		b.mu.Lock()
		defer b.mu.Unlock()

		err := b.unreadable[path.Dir(name)]
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}

		var ok bool
		entry, ok = b.files[name]
		if !ok {
			return fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}

		return nil
	})

	return entry, err
}

// Put puts a backup of the given contents in its place.
func (b *Backups) Put(name string, content *backup.Content) {
	b.put(backup.Entry{
		Path:    name,
		Verdict: backup.OK,
		Content: content,
		SHA256: sha256.Sum256(
			fmt.Appendf(nil, "%s%+v", name, content),
		),
	})
}

// PutVerdict puts a file in its place that is judged as given, other than OK.
func (b *Backups) PutVerdict(name string, verdict backup.Verdict) {
	b.put(backup.Entry{
		Path:    name,
		Verdict: verdict,
		SHA256:  sha256.Sum256([]byte(name + string(verdict))),
	})
}

// put puts a judged file in its place.
func (b *Backups) put(entry backup.Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()

	entry.Place = path.Dir(entry.Path)
	b.files[entry.Path] = entry
}

// Remove removes a file.
func (b *Backups) Remove(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()

	delete(b.files, name)
}

// SetUnreadable makes a place fail to be read, or not fail with nil.
func (b *Backups) SetUnreadable(place string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	if err == nil {
		delete(b.unreadable, place)

		return
	}
	b.unreadable[place] = err
}
