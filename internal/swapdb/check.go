package swapdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/looprecovery/looprecovery/states"
)

const (
	// checkLimit bounds a look.
	checkLimit = 5 * time.Second

	// integrityLimit bounds the part of a look that reads whole tables. A
	// database that is too large for it is not read to the end.
	integrityLimit = time.Second
)

const (
	// migrationsTable is where the migrations keep the schema's version.
	migrationsTable = "schema_migrations"

	// firstTable is made by upstream's first migration.
	firstTable = "swaps"
)

// schema is what a look found.
type schema struct {
	// exists: there is a database. The file of one that was never used may
	// be missing or empty.
	exists bool

	// used: there are tables of upstream's.
	used bool

	// version is the number of migrations that were made, or zero.
	version int64

	// dirty: the last of them broke off.
	dirty bool
}

// Check returns nil if the embedded daemon can be expected to open its
// database: it is there, or is to be made; its schema is known; what the daemon
// reads at its start is whole. Otherwise the error is a *states.PermanentError
// with states.DatabaseNewer, states.DatabaseDirty or states.DatabaseDamaged, or
// a *TransientError.
//
// It changes nothing and leaves nothing open.
func Check(ctx context.Context, cfg Config) error {
	_, err := inspect(ctx, cfg)

	return err
}

// inspect is Check, and returns what it found.
func inspect(ctx context.Context, cfg Config) (schema, error) {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()

	look := inspectFile
	if cfg.Postgres != nil {
		look = inspectServer
	}
	found, err := look(ctx, cfg)
	if err != nil {
		return schema{}, err
	}

	return found, found.judge(cfg.name())
}

// errNoSuchMigration means that the schema is of a future.
var errNoSuchMigration = errors.New("no such migration here")

// errBrokeOff means that a migration did not come to its end.
var errBrokeOff = errors.New("the migration broke off")

// errNoVersion means that there are tables, but not which.
var errNoVersion = errors.New("the version of its schema is lost")

// judge returns why the embedded daemon refuses the schema. One that is both
// newer and dirty is for the newer version to mend.
func (s schema) judge(name string) error {
	switch {
	case s.version > knownMigrations:
		return &states.PermanentError{
			Reason: states.DatabaseNewer,
			Detail: fmt.Sprintf("%s is of version %d; this loopd "+
				"knows %d", name, s.version, knownMigrations),
			Err: errNoSuchMigration,
		}

	case s.dirty:
		return &states.PermanentError{
			Reason: states.DatabaseDirty,
			Detail: fmt.Sprintf("%s, migration %d", name,
				s.version),
			Err: errBrokeOff,
		}

	case s.used && s.version == 0:
		return damaged(name, errNoVersion)

	default:
		return nil
	}
}
