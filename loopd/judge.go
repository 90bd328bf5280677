package loopd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/recoveryserver"
	"github.com/looprecovery/looprecovery/staticaddr"
)

// judge says what backups are worth on this lnd: it opens each and makes sure
// that lnd derives the key in it. It remembers when it last approved a file.
type judge struct {
	backups *backupPort
	node    actions.Node

	// indexBound is the highest index at which a client key is looked for
	// whose file does not tell it.
	indexBound uint32

	mu sync.Mutex

	// verified holds, by path, when a file was last approved.
	verified map[string]time.Time
}

// judged is a file with what is known about it.
type judged struct {
	backup.Entry

	// LastVerified is when the file was last approved since this process
	// began; zero if it never was.
	LastVerified time.Time
}

// all reads, decrypts and judges every copy in every place. The error is as
// that of backup.Store.List: what could be read is returned beside it.
func (j *judge) all(ctx context.Context) ([]judged, error) {
	entries, err := j.backups.List(ctx)
	if err != nil && len(recoveryserver.PlaceErrors(err)) == 0 {
		return nil, err
	}

	result := make([]judged, 0, len(entries))
	for _, entry := range entries {
		if err := j.checkKey(ctx, &entry); err != nil {
			return nil, err
		}
		result = append(result, judged{Entry: entry})
	}
	j.remember(result)
	slices.SortFunc(result, compareJudged)

	return result, err
}

// bytes judges a file that a client sent, without storing it.
func (j *judge) bytes(ctx context.Context, name string, data []byte) (
	backup.Entry, error) {

	keys, err := j.backups.keys(ctx)
	if err != nil {
		return backup.Entry{}, err
	}
	entry, err := j.backups.store.JudgeBytes(name, data, keys)
	if err != nil {
		return entry, err
	}

	return entry, j.checkKey(ctx, &entry)
}

// checkKey makes sure that lnd derives the client key of a file that opens, and
// looks for its index if the file does not tell it; the index found is put into
// the content. Another verdict is put into the entry; an error is passing.
func (j *judge) checkKey(ctx context.Context, entry *backup.Entry) error {
	if entry.Verdict != backup.OK {
		return nil
	}

	locator := &entry.Content.Address.ClientLocator
	if entry.Content.IndexUnknown {
		account, _, err := j.node.Account(ctx, int32(locator.Family))
		if err != nil {
			return err
		}
		index, found, err := staticaddr.FindKey(
			account, entry.Content.Address.ClientKey, j.indexBound,
		)
		if err != nil {
			return err
		}
		if !found {
			refuseKey(entry, fmt.Sprintf("key family %d, searched "+
				"up to index %d", locator.Family, j.indexBound))
		}
		locator.Index = index

		return nil
	}

	key, err := j.node.DeriveKey(ctx, *locator)
	if err != nil {
		return err
	}
	if !key.IsEqual(entry.Content.Address.ClientKey) {
		refuseKey(entry, fmt.Sprintf("key family %d, index %d",
			locator.Family, locator.Index))
	}

	return nil
}

// refuseKey turns the verdict on a file whose key lnd does not derive.
func refuseKey(entry *backup.Entry, detail string) {
	entry.Verdict, entry.Detail = backup.KeyNotDerivable, detail
	entry.Content = nil
}

// remember notes the files that are in order now, tells of every file when it
// was so last, and forgets those that are gone.
func (j *judge) remember(files []judged) {
	j.mu.Lock()
	defer j.mu.Unlock()

	now := time.Now()
	seen := make(map[string]time.Time)
	for i := range files {
		path := files[i].Path
		seen[path] = j.verified[path]
		if files[i].Verdict == backup.OK {
			seen[path] = now
		}
		files[i].LastVerified = seen[path]
	}
	maps.DeleteFunc(seen, func(_ string, when time.Time) bool {
		return when.IsZero()
	})
	j.verified = seen
}

// compareJudged orders files by generation, the newest first, and by path
// within one. Files that do not tell their generation come last.
func compareJudged(a, b judged) int {
	if order := b.TokenCreated.Compare(a.TokenCreated); order != 0 {
		return order
	}
	if order := strings.Compare(
		string(a.TokenID[:]), string(b.TokenID[:]),
	); order != 0 {
		return order
	}

	return strings.Compare(a.Path, b.Path)
}

// foreign reports whether a file is in order for somebody else: another seed's
// or another network's. It is left alone and nothing to warn of.
func foreign(verdict backup.Verdict) bool {
	return verdict == backup.OtherSeed || verdict == backup.OtherNetwork
}
