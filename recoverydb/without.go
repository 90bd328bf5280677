package recoverydb

import (
	"context"
	"database/sql"
	"errors"

	"github.com/looprecovery/looprecovery/states"
)

// OpenWithout returns a database for a process whose own cannot be opened now,
// for the given cause: a disk that fails or is full, a permission. It is empty
// and in memory, every write is refused with the cause, and what lnd's wallet
// sees counts as unproven. So the swap client runs, and no recovery can be
// begun or continued.
func OpenWithout(cause error) (*DB, error) {
	reader, err := sql.Open(driverName, ":memory:")
	if err != nil {
		return nil, err
	}

	// Each connection would have a database of its own.
	reader.SetMaxOpenConns(1)
	if err := migrate(context.Background(), reader); err != nil {
		return nil, errors.Join(err, reader.Close())
	}

	return &DB{reader: reader, report: Report{Without: cause}}, nil
}

// refused returns the error with which every write is refused, or nil.
func (r Report) refused() error {
	switch {
	case r.Newer != nil:
		return r.Newer.Err()

	case r.Without != nil:
		return &states.TransientError{
			Reason: states.JournalFailed, Err: r.Without,
		}

	default:
		return nil
	}
}

// ReadOnly reports whether no recovery can be begun or continued.
func (r Report) ReadOnly() bool {
	return r.refused() != nil
}
