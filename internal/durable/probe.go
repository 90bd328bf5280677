package durable

import (
	"fmt"
)

// Probe finds out what Publish would promise in a directory, by an empty file
// that it makes and removes. That goes by temporary names of the given file's,
// so that Sweep takes care of what a crash leaves. Without an answer there is
// an error.
func Probe(files FS, dir, name string) (Promise, error) {
	from, to := newTemp(dir, name), newTemp(dir, name)
	if err := write(files, from, nil, tempPerm); err != nil {
		return AllOrNothing, fmt.Errorf("%s was not probed: %w", dir,
			err)
	}

	twice, err := rename(files, from, to)
	left := []string{to}
	switch {
	case err != nil:
		left = []string{from}

	case twice:
		left = []string{from, to}
	}
	for _, path := range left {
		// Should this fail, the next Sweep finds the file.
		_ = files.Remove(path)
	}
	if unable(err) {
		return MaybeTorn, nil
	}

	return AllOrNothing, err
}
