package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/looprecovery/looprecovery/internal/durable"
)

// The limits of a listing of one place, which may be a directory that others
// write to. A backup has some hundred bytes.
const (
	// MaxNames bounds the names that are looked at.
	MaxNames = 100_000

	// maxEntries bounds the files that are judged, among those whose name
	// claims to be a backup's.
	maxEntries = 10_000

	// maxListed bounds the bytes that are read of them.
	maxListed = 16 << 20
)

// ErrCrowded is wrapped by the error for a place that holds more than is looked
// at.
var ErrCrowded = durable.ErrCrowded

// claimant is a file whose name claims to be a backup's.
type claimant struct {
	name string
	size int64
}

// listPlace judges the files in one place that are wanted, in the order of
// their names. One that cannot be read gets that for its verdict. An error that
// wraps ErrCrowded means that there are more; what was judged is returned
// beside it.
func (s *Store) listPlace(ctx context.Context, place string, keys Keys,
	wanted func(parsedName) bool) ([]Entry, error) {

	files, err := s.files.ReadDir(place, MaxNames)
	if err != nil && !errors.Is(err, ErrCrowded) {
		return nil, err
	}
	crowded := err

	claimants, err := bounded(claimantsAmong(files, wanted))
	crowded = cmp.Or(crowded, err)

	var entries []Entry
	for _, file := range claimants {
		if err := ctx.Err(); err != nil {
			return entries, err
		}

		entry, err := s.Judge(filepath.Join(place, file.name), keys)
		switch {
		// It was taken away meanwhile.
		case errors.Is(err, fs.ErrNotExist):
			continue

		case err != nil:
			entry.Verdict, entry.Detail = Unreadable, err.Error()
			entry.Err = err
		}
		entries = append(entries, entry)
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		return strings.Compare(a.Path, b.Path)
	})

	return entries, crowded
}

// claimantsAmong returns the files with a wanted backup's name, the smallest
// first: large ones, which are none, do not keep the others from being read.
func claimantsAmong(files []fs.DirEntry,
	wanted func(parsedName) bool) []claimant {

	var found []claimant
	for _, file := range files {
		name, ok := parseName(file.Name())
		if !ok || !wanted(name) {
			continue
		}
		claim := claimant{name: file.Name()}

		// What is not read costs nothing. If the size cannot be told,
		// reading says why.
		info, err := file.Info()
		if err == nil && info.Mode().IsRegular() &&
			info.Size() <= MaxFileSize {

			claim.size = info.Size()
		}
		found = append(found, claim)
	}
	slices.SortStableFunc(found, func(a, b claimant) int {
		return cmp.Compare(a.size, b.size)
	})

	return found
}

// bounded returns as many files as may be judged, and an error if that is not
// all of them.
func bounded(claimants []claimant) ([]claimant, error) {
	var size int64
	for i, claim := range claimants {
		size += claim.size
		switch {
		case i == maxEntries:
			return claimants[:i], fmt.Errorf("%w with a backup's "+
				"name: more than %d", ErrCrowded, maxEntries)

		case size > maxListed:
			return claimants[:i], fmt.Errorf("%w with a backup's "+
				"name: more than %d bytes", ErrCrowded,
				maxListed)
		}
	}

	return claimants, nil
}
