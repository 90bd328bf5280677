package recoverydb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/looprecovery/looprecovery/internal/durable"
)

const (
	// asideDir is the directory, beside the database, of what was set
	// aside; token files lie there, too.
	asideDir = "set-aside"

	// asidePrefix begins the name of the directory of one damaged journal.
	asidePrefix = "journal-"

	// asideTime is the form of the time in that name.
	asideTime = "20060102T150405.000000000Z"

	// nextName is the new database, in that directory, from the moment it
	// is complete until it has taken the place of the damaged one.
	nextName = "next.db"

	// unusedName is a new database that found its place taken.
	unusedName = "salvaged.db"
)

// replace sets a damaged database aside and puts a new one in its place, with
// what can be salvaged. Nothing is deleted or overwritten.
//
// The new database is complete before the old one is touched, and lies in the
// directory that the old one is moved to: finding it there is how an
// interrupted replacement is told, and ended (see finish).
func (p place) replace(damage Damage, cause error) error {
	log.Errorf("%s is damaged and is set aside: %v", p.path, cause)

	aside := SetAside{Time: time.Now().UTC(), Damage: damage}
	aside.Path = filepath.Join(p.dir, asideDir, fmt.Sprintf("%s%s-%s",
		asidePrefix, aside.Time.Format(asideTime), damage))
	made, err := p.salvaged(&aside)
	if err != nil {
		return err
	}

	files := durable.OS()
	for _, dir := range []string{filepath.Dir(aside.Path), aside.Path} {
		if err := durable.EnsureDir(files, dir); err != nil {
			return err
		}
	}
	err = p.publish(made, filepath.Join(aside.Path, nextName))
	if err != nil {
		return err
	}
	log.Warnf("Set aside: %v", aside)

	return p.finish()
}

// salvaged makes a database with what can be salvaged, and returns its path in
// the scratch directory.
func (p place) salvaged(aside *SetAside) (string, error) {
	source, err := p.source(aside.Damage)
	if err != nil {
		return "", err
	}
	if source != nil {
		defer func() { _ = source.Close() }()
	}

	made := p.inScratch(newName)
	err = makeFile(made, func(db *DB) error {
		s := &salvager{
			source: source, target: db, damage: aside.Damage,
		}
		var err error
		if aside.Tables, err = s.salvage(); err != nil {
			return err
		}

		return db.tx(context.Background(), func(ctx context.Context,
			tx *sql.Tx) error {

			return saveSetAside(ctx, tx, *aside)
		})
	})

	return made, err
}

// source opens a copy of the damaged database to salvage from. It is nil if
// there is nothing to read.
func (p place) source(damage Damage) (*sql.DB, error) {
	switch damage {
	case NotAFile, Empty, LogAlone, NotADatabase:
		return nil, p.clear()
	}

	err := p.copy()
	if errors.Is(err, errTooLarge) {
		return nil, p.clear()
	}
	if err != nil {
		return nil, err
	}
	source, err := connect(p.inScratch(copyName), 1, url.Values{})
	if damageOf(err) != "" {
		return nil, nil
	}

	return source, err
}

// finish ends a replacement that was interrupted after the new database was
// complete. It does nothing if there is none.
func (p place) finish() error {
	pattern := filepath.Join(asideDir, asidePrefix+"*", nextName)
	found, err := fs.Glob(os.DirFS(p.dir), pattern)
	if err != nil {
		return err
	}
	slices.Sort(found)
	for _, next := range found {
		err := p.swap(filepath.Join(p.dir, filepath.FromSlash(next)))
		if err != nil {
			return err
		}
	}

	return nil
}

// swap moves the damaged files to the directory in which the new database lies,
// as far as they are not there yet, and gives that its name.
func (p place) swap(next string) error {
	dir := filepath.Dir(next)
	for _, suffix := range append(slices.Clone(companions), "") {
		name := filepath.Base(p.path) + suffix
		err := moveAside(p.path+suffix, filepath.Join(dir, name))
		if err != nil {
			return err
		}
	}

	final := p.path
	if _, err := os.Lstat(final); err == nil {
		// Another version began one of its own meanwhile.
		final = filepath.Join(dir, unusedName)
	}

	return p.publish(next, final)
}

// moveAside moves a file, unless it has been moved before.
func moveAside(from, to string) error {
	old, err := os.Lstat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}

	moved, err := os.Lstat(to)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return durable.Move(durable.OS(), from, to)

	case err != nil:
		return err

	// It was given its new name, and was about to lose the old one.
	case os.SameFile(old, moved):
		return errors.Join(
			os.Remove(from),
			durable.OS().SyncDir(filepath.Dir(from)),
		)

	// What is there now is not what was set aside.
	default:
		return nil
	}
}
