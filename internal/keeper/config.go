package keeper

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// CleanPlaces returns the backup places that a user gave, cleaned and each
// once: "D" and "D/" are one place, and hold one copy. An empty or a relative
// path is refused: it would mean another directory with each start. No disk is
// touched, so that two names of one directory are told apart only by the keeper
// at work, which counts them as one.
func CleanPlaces(dirs []string) ([]string, error) {
	var places []string
	for _, dir := range dirs {
		if dir == "" {
			return nil, errors.New("a backup directory is empty")
		}
		if !filepath.IsAbs(dir) {
			return nil, fmt.Errorf("the backup directory %q is "+
				"not an absolute path", dir)
		}
		if dir = filepath.Clean(dir); !slices.Contains(places, dir) {
			places = append(places, dir)
		}
	}

	return places, nil
}
