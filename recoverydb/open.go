package recoverydb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/looprecovery/looprecovery/internal/durable"
)

const (
	// scratchSuffix is added to the database's name for the directory in
	// which it is looked at and made. What lies there is never the only
	// copy of anything.
	scratchSuffix = ".work"

	// scratchMode is the mode of that directory.
	scratchMode = 0o700

	// copyName and newName are the copy that is looked at and the database
	// that is being made, in the scratch directory.
	copyName, newName = "copy.db", "new.db"

	// logSuffix is that of SQLite's write-ahead log.
	logSuffix = "-wal"
)

// companions are the suffixes of the files that SQLite keeps beside a
// database's file.
var companions = []string{logSuffix, "-shm", "-journal"}

// place is where a database lies.
type place struct {
	// path is the file. A link has been followed: SQLite puts the log
	// beside the file that it leads to.
	path string

	// dir is the directory of the file.
	dir string

	// scratch is the directory for copies.
	scratch string
}

// Open opens the database in the file at path, which is created if it is not
// there, and brings its schema up to date.
//
// A damaged file does not make Open fail: it is set aside with its log, what
// can be read is salvaged, and a new database is begun. What was found is told
// by DB.Report. A database of a newer version is left alone; it is read from a
// copy, and every write is refused with a *states.PermanentError.
//
// An error is one of input and output, of permissions, of a lock or of a full
// disk. Nothing was set aside then, and the same call can be made again. An
// Open that was interrupted is ended by the next one.
func Open(path string) (*DB, error) {
	db, err := openAt(path)
	if err != nil {
		return nil, fmt.Errorf("recovery database: %w", err)
	}

	return db, nil
}

// openAt is Open with plain errors.
func openAt(path string) (*DB, error) {
	p, err := placeOf(path)
	if err != nil {
		return nil, err
	}
	if err := p.finish(); err != nil {
		return nil, err
	}

	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	newer, err := p.look(ctx)
	switch damage := damageOf(err); {
	case damage != "":
		if err := p.replace(damage, err); err != nil {
			return nil, err
		}

	case err != nil:
		return nil, err

	case newer != nil:
		return p.openCopy(*newer)
	}

	db, err := p.openFile()
	damage := damageOf(err)
	if damage == "" {
		return db, err
	}

	// The look did not come that far.
	if err := p.replace(damage, err); err != nil {
		return nil, err
	}

	return p.openFile()
}

// placeOf returns the place of a database.
func placeOf(path string) (place, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return place{}, err
	}

	// A link that leads nowhere is looked at by its own name.
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}

	return place{
		path:    path,
		dir:     filepath.Dir(path),
		scratch: path + scratchSuffix,
	}, nil
}

// clear makes the scratch directory, empty.
func (p place) clear() error {
	if err := os.RemoveAll(p.scratch); err != nil {
		return err
	}

	return os.Mkdir(p.scratch, scratchMode)
}

// inScratch returns a path in the scratch directory.
func (p place) inScratch(name string) string {
	return filepath.Join(p.scratch, name)
}

// openFile opens the file, or one that is made if it is not there.
func (p place) openFile() (*DB, error) {
	_, err := os.Lstat(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = p.create()
	}
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(p.scratch); err != nil {
		return nil, err
	}
	if err := os.Chmod(p.path, fileMode); err != nil {
		return nil, err
	}

	db, err := connectBoth(p.path)
	if err != nil {
		return nil, err
	}
	db.report.SetAside, err = db.loadSetAsides(context.Background())
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}

	return db, nil
}

// connectBoth opens the pools of a database's file and brings its schema up to
// date.
func connectBoth(path string) (*DB, error) {
	writer, err := connect(path, 1, url.Values{"_txlock": {"immediate"}})
	if err != nil {
		return nil, err
	}
	if err := migrate(context.Background(), writer); err != nil {
		return nil, errors.Join(err, writer.Close())
	}

	reader, err := connect(path, maxReaders, url.Values{
		"_pragma": {"query_only(1)"},
	})
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}

	return &DB{writer: writer, reader: reader}, nil
}

// create makes an empty database and then gives it its name, so that the name
// always stands for a complete one.
func (p place) create() error {
	if err := p.clear(); err != nil {
		return err
	}
	if err := makeFile(p.inScratch(newName), nil); err != nil {
		return err
	}

	return p.publish(p.inScratch(newName), p.path)
}

// makeFile makes a database with the content that fill gives it. When it
// returns the file is complete and durable, and has no log.
func makeFile(path string, fill func(*DB) error) error {
	if err := createFile(path); err != nil {
		return err
	}
	db, err := connectBoth(path)
	if err != nil {
		return err
	}
	if fill != nil {
		if err := fill(db); err != nil {
			return errors.Join(err, db.Close())
		}
	}
	if err := db.Close(); err != nil {
		return err
	}

	// SQLite writes the log into the file when the last connection closes,
	// and removes it.
	_, err = os.Lstat(path + logSuffix)
	if !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(errors.New("the log of a new database was "+
			"left behind"), err)
	}

	return durable.OS().SyncDir(path)
}

// publish gives a complete database its name, durably.
func (p place) publish(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}

	return durable.OS().SyncDir(filepath.Dir(to))
}
