package durable

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
)

const (
	// tempPrefix begins the name of a file that is being written. Upstream
	// parses every file whose name begins with l402.token; this must not.
	tempPrefix = ".looprecovery-"

	// uniqueSize is the number of random bytes in such a name.
	uniqueSize = 8

	// tempAge is how old an unfinished file must be before Sweep takes it
	// for abandoned: another process may be writing it.
	tempAge = time.Hour

	// maxSweep and maxSwept bound the number of files that one Sweep reads,
	// and their bytes; maxSweepDir the entries of the directory. What is
	// beyond is left for the next one.
	maxSweep    = 1_000
	maxSwept    = 64 << 20
	maxSweepDir = 100_000
)

// tempName returns the temporary name of a file.
func tempName(unique, final string) string {
	return tempPrefix + unique + "-" + final
}

// parseTempName returns the final name of the file that is being written under
// a name, and whether it is a temporary name at all.
func parseTempName(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, tempPrefix)
	if !ok {
		return "", false
	}
	unique, final, ok := strings.Cut(rest, "-")
	raw, err := hex.DecodeString(unique)

	return final, ok && err == nil && len(raw) == uniqueSize && final != ""
}

// Leftovers says which files a Sweep is about.
type Leftovers struct {
	// Owns reports whether a final name is one of the caller's.
	Owns func(final string) bool

	// Keep reports whether the contents must not be lost.
	Keep func(data []byte) bool

	// Limit is the largest size of such a file, in bytes.
	Limit int64
}

// Sweep removes what crashes left of earlier calls of Publish in a directory:
// temporary files that another name holds too, byte for byte, and abandoned
// ones whose contents need not be kept. A file that is the only one to hold
// something worth keeping is never removed. What is no regular file, or too
// large for one of ours, is not looked at.
func Sweep(files FS, dir string, which Leftovers) error {
	entries, err := files.ReadDir(dir, maxSweepDir)
	if err != nil && !errors.Is(err, ErrCrowded) {
		return err
	}

	var (
		seen   int
		read   int64
		failed []error
	)
	for _, entry := range entries {
		final, size, ok := which.claims(entry)
		if !ok {
			continue
		}
		seen, read = seen+1, read+size
		if seen > maxSweep || read > maxSwept {
			break
		}

		temp := filepath.Join(dir, entry.Name())
		useless, err := which.useless(
			files, temp, filepath.Join(dir, final),
		)
		if err == nil && useless {
			err = files.Remove(temp)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, fmt.Errorf("%s: %w", temp, err))
		}
	}

	return errors.Join(failed...)
}

// claims returns the final name of an unfinished file and its size.
func (l Leftovers) claims(entry fs.DirEntry) (string, int64, bool) {
	final, ok := parseTempName(entry.Name())
	if !ok || !l.Owns(final) || !entry.Type().IsRegular() {
		return "", 0, false
	}
	info, err := entry.Info()
	if err != nil || info.Size() > l.Limit {
		return "", 0, false
	}

	return final, info.Size(), true
}

// useless reports whether nothing is lost with a temporary file.
func (l Leftovers) useless(files FS, temp, final string) (bool, error) {
	file, info, err := Open(files, temp, l.Limit)
	if err != nil {
		return false, err
	}
	data, err := ReadAll(file, temp, l.Limit)
	if err := errors.Join(err, file.Close()); err != nil {
		return false, err
	}

	// The copy must be durable before this one goes.
	copied, err := ReadFile(files, final, l.Limit)
	var other *KindError
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.As(err, &other),
		errors.Is(err, ErrTooLarge):

	case err != nil:
		return false, err

	case bytes.Equal(data, copied):
		return true, errors.Join(
			files.SyncDir(final),
			files.SyncDir(filepath.Dir(final)),
		)
	}

	if l.Keep(data) {
		return false, nil
	}
	return time.Since(info.ModTime()) > tempAge, nil
}
