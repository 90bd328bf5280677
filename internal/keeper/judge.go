package keeper

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/staticaddr"
)

// maxNamed bounds the damaged files of a place that a warning names. The rest
// is counted.
const maxNamed = 3

// Judged is a file with what is known about it.
type Judged struct {
	backup.Entry

	// LastVerified is when the file was last approved since this process
	// began; zero if it never was.
	LastVerified time.Time
}

// JudgeAll reads, decrypts and judges every copy in every place, and makes sure
// that lnd derives the client key in it. What is wrong becomes a warning. The
// error is as that of List: what could be read is returned beside it.
func (k *Keeper) JudgeAll(ctx context.Context) ([]Judged, error) {
	entries, placesErr := k.List(ctx)
	if placesErr != nil && len(PlaceErrors(placesErr)) == 0 {
		return nil, placesErr
	}

	result := make([]Judged, 0, len(entries))
	for _, entry := range entries {
		if err := k.checkKey(ctx, &entry); err != nil {
			return nil, err
		}
		result = append(result, Judged{Entry: entry})
	}
	k.remember(result)
	slices.SortFunc(result, compareJudged)
	k.noteDamage(result)

	return result, placesErr
}

// JudgeBytes judges a file that a client sent, without storing it.
func (k *Keeper) JudgeBytes(ctx context.Context, name string, data []byte) (
	backup.Entry, error) {

	keys, err := k.keys(ctx)
	if err != nil {
		return backup.Entry{}, err
	}
	entry, err := k.home().store.JudgeBytes(name, data, keys)
	if err != nil {
		return entry, err
	}

	return entry, k.checkKey(ctx, &entry)
}

// checkKey makes sure that lnd derives the client key of a file that opens, and
// looks for its index if the file does not tell it; the index found is put into
// the content. Another verdict is put into the entry; an error is passing.
func (k *Keeper) checkKey(ctx context.Context, entry *backup.Entry) error {
	if entry.Verdict != backup.OK {
		return nil
	}
	if entry.Content.IndexUnknown {
		return k.findKey(ctx, entry)
	}

	locator := entry.Content.Address.ClientLocator
	key, err := k.cfg.Node.DeriveKey(ctx, locator)
	if err != nil {
		return err
	}
	if !key.IsEqual(entry.Content.Address.ClientKey) {
		refuseKey(entry, fmt.Sprintf("key family %d, index %d",
			locator.Family, locator.Index))
	}

	return nil
}

// findKey looks for the index of the client key.
func (k *Keeper) findKey(ctx context.Context, entry *backup.Entry) error {
	locator := &entry.Content.Address.ClientLocator
	account, _, err := k.cfg.Node.Account(ctx, int32(locator.Family))
	if err != nil {
		return err
	}
	index, found, err := staticaddr.FindKey(
		account, entry.Content.Address.ClientKey, k.cfg.IndexBound,
	)
	if err != nil {
		return err
	}
	if !found {
		refuseKey(entry, fmt.Sprintf("key family %d, searched up to "+
			"index %d", locator.Family, k.cfg.IndexBound))

		return nil
	}
	locator.Index = index

	return nil
}

// refuseKey turns the verdict on a file whose key lnd does not derive.
func refuseKey(entry *backup.Entry, detail string) {
	entry.Verdict, entry.Detail = backup.KeyNotDerivable, detail
	entry.Content = nil
}

// remember notes the files that are in order now, tells of every file when it
// was so last, and forgets those that are gone.
func (k *Keeper) remember(files []Judged) {
	k.mu.Lock()
	defer k.mu.Unlock()

	now := k.now()
	seen := make(map[string]time.Time)
	for i := range files {
		path := files[i].Path
		seen[path] = k.verified[path]
		if files[i].Verdict == backup.OK {
			seen[path] = now
		}
		files[i].LastVerified = seen[path]
	}
	maps.DeleteFunc(seen, func(_ string, when time.Time) bool {
		return when.IsZero()
	})
	k.verified = seen
}

// compareJudged orders files by generation, the newest first, and by path
// within one. Files that do not tell their generation come last.
func compareJudged(a, b Judged) int {
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

// noteDamage keeps what is wrong with the files of each place, in one sentence
// a place: anybody who may write to a share may write thousands.
func (k *Keeper) noteDamage(files []Judged) {
	for _, p := range k.places {
		var bad []Judged
		for _, file := range files {
			if file.Place == p.dir && file.Verdict != backup.OK &&
				!foreign(file.Verdict) {

				bad = append(bad, file)
			}
		}

		p.mu.Lock()
		p.damage = describeDamage(bad)
		p.mu.Unlock()
	}
}

// describeDamage names files that have a backup's name and are none, those that
// were in order before first.
func describeDamage(bad []Judged) string {
	slices.SortStableFunc(bad, func(a, b Judged) int {
		return b.LastVerified.Compare(a.LastVerified)
	})

	var parts []string
	for _, file := range bad[:min(len(bad), maxNamed)] {
		part := fmt.Sprintf("%s: %s", file.Path, file.Verdict)
		if !file.LastVerified.IsZero() {
			part += ", last in order at " +
				file.LastVerified.UTC().Format(time.RFC3339)
		}
		parts = append(parts, part)
	}
	if more := len(bad) - maxNamed; more > 0 {
		parts = append(
			parts, fmt.Sprintf("%d more in that place", more),
		)
	}

	return strings.Join(parts, "; ")
}
