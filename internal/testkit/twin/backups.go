package twin

import (
	"cmp"
	"context"
	"io"
	"path"
	"slices"
	"sync"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
)

// Backups is the real backup store on the twin's disk, with the keys of the
// twin's lnd.
type Backups struct {
	calls *calls
	lnd   *Lnd
	disk  *Disk
	store *backup.Store

	mu sync.Mutex

	// forced are files that are judged as the test says, for the verdicts
	// that are hard to bring about.
	forced map[string]backup.Entry

	// nonces yields the nonces of the files that are put in place.
	nonces io.Reader
}

var _ actions.Backups = (*Backups)(nil)

// List judges the files of all places.
func (b *Backups) List(ctx context.Context) ([]backup.Entry, error) {
	var (
		entries []backup.Entry
		listErr error
	)
	err := b.calls.doLnd(ctx, "backups.List", func() error {
		keys, err := backup.DeriveKeys(ctx, b.lnd)
		if err != nil {
			return err
		}
		entries, listErr = b.store.List(ctx, keys)

		return nil
	})
	if err != nil {
		return nil, err
	}

	b.mu.Lock()
	defer b.mu.Unlock()

	for _, entry := range b.forced {
		entries = append(entries, entry)
	}
	slices.SortFunc(entries, func(a, b backup.Entry) int {
		return cmp.Compare(a.Path, b.Path)
	})

	return entries, listErr
}

// Judge judges one file.
func (b *Backups) Judge(ctx context.Context, name string) (backup.Entry,
	error) {

	var entry backup.Entry
	err := b.calls.doLnd(ctx, "backups.Judge", func() error {
		b.mu.Lock()
		forced, ok := b.forced[name]
		b.mu.Unlock()
		if ok {
			entry = forced

			return nil
		}

		keys, err := backup.DeriveKeys(ctx, b.lnd)
		if err != nil {
			return err
		}
		entry, err = b.store.Judge(name, keys)

		return err
	})

	return entry, err
}

// Put puts a backup of the given contents, sealed with the key of the lnd of
// the moment, into a place under its own name, and returns its path.
func (b *Backups) Put(place string, content *backup.Content) string {
	name := path.Join(place, backup.FileName(
		content.TokenID, content.TokenCreated,
	))
	b.PutAs(name, content)

	return name
}

// PutAs does the same under another name. A file that is there is replaced, as
// only somebody else does it.
func (b *Backups) PutAs(name string, content *backup.Content) {
	keys, err := backup.DeriveKeys(context.Background(), b.lnd)
	must(err)
	raw, err := backup.Seal(content, keys, b.nonces)
	must(err)
	b.disk.Write(name, raw)
}

// PutOlder puts a backup of the older format, which does not tell the index of
// the client key, into a place under its own name, and returns its path.
func (b *Backups) PutOlder(place string, content *backup.Content) string {
	keys, err := backup.DeriveKeys(context.Background(), b.lnd)
	must(err)
	raw, err := backup.SealLegacy(content, keys, b.nonces)
	must(err)
	name := path.Join(place, backup.LegacyFileName(
		content.TokenID, content.TokenCreated,
	))
	b.disk.Write(name, raw)

	return name
}

// Force makes a file be judged as given, whatever it holds. The contents belong
// to the verdict OK only.
func (b *Backups) Force(name string, verdict backup.Verdict,
	content *backup.Content) {

	b.mu.Lock()
	defer b.mu.Unlock()

	entry := backup.Entry{
		Path:    name,
		Place:   path.Dir(name),
		Verdict: verdict,
		Content: content,
	}
	_, err := io.ReadFull(b.nonces, entry.SHA256[:])
	must(err)
	b.forced[name] = entry
}

// Remove removes a file.
func (b *Backups) Remove(name string) {
	b.disk.Lose(name)

	b.mu.Lock()
	defer b.mu.Unlock()

	delete(b.forced, name)
}
