package recoverydb

import (
	"context"
	"errors"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Damage is what is wrong with a database file. It is part of the name under
// which the file is set aside.
type Damage string

// The kinds of damage.
const (
	// NotAFile: something else than a file has the name of the database or
	// of its log.
	NotAFile Damage = "not-a-file"

	// Empty: the file holds no database, or one without tables. A database
	// is complete before it is given its name, so that something was there.
	Empty Damage = "empty"

	// LogAlone: there is the log of a database, and no database.
	LogAlone Damage = "log-alone"

	// NotADatabase: SQLite does not know the file (SQLITE_NOTADB).
	NotADatabase Damage = "not-a-database"

	// Corrupt: SQLite knows the file and cannot read all of it
	// (SQLITE_CORRUPT).
	Corrupt Damage = "corrupt"

	// TornLog: a transaction in the log that was durable is broken.
	// SQLite would leave it out, and all that came after it, in silence.
	TornLog Damage = "torn-log"

	// Foreign: the database has other tables than ours.
	Foreign Damage = "foreign"

	// Invalid: SQLite reads the file, but what it holds does not decode or
	// contradicts itself.
	Invalid Damage = "invalid"
)

// damageError is returned by a look that found damage.
type damageError struct {
	damage Damage
	cause  error
}

// Error implements error.
func (e *damageError) Error() string {
	text := "the recovery database is damaged (" + string(e.damage) + ")"
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}

	return text
}

// Unwrap returns the cause.
func (e *damageError) Unwrap() error {
	return e.cause
}

// damageOf returns the damage that an error tells of, or "". Only SQLite's
// result codes and our own judgement count: an error of input and output, of
// permissions, of a lock or of a full disk says nothing about the file.
func damageOf(err error) Damage {
	var damaged *damageError
	if errors.As(err, &damaged) {
		return damaged.damage
	}

	switch resultCode(err) {
	case sqlite3.SQLITE_NOTADB:
		return NotADatabase

	case sqlite3.SQLITE_CORRUPT:
		return Corrupt

	default:
		return ""
	}
}

// resultCode returns SQLite's primary result code, or 0 for another error.
func resultCode(err error) int {
	// The primary code is the low byte of an extended one
	// (https://www.sqlite.org/rescode.html).
	const primary = 0xff

	var failed *sqlite.Error
	if !errors.As(err, &failed) {
		return 0
	}

	return failed.Code() & primary
}

// noRoom says whether an error means that the disk is full.
func noRoom(err error) bool {
	return resultCode(err) == sqlite3.SQLITE_FULL ||
		errors.Is(err, syscall.ENOSPC) ||
		errors.Is(err, syscall.EDQUOT)
}

// outOfTime says whether a look ended because its time was over.
func outOfTime(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() != nil && damageOf(err) == ""
}
