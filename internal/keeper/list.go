package keeper

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/looprecovery/looprecovery/backup"
)

// errNotInTime says that a place has not answered within the time that somebody
// wanted to wait for it.
var errNotInTime = errors.New("has not answered in time")

const (
	// hurry is the share of the time left until a caller's deadline, in
	// tenths, that places are waited for. The rest is for the caller to
	// make use of what they said.
	hurry = 9

	// lndLimit is how long lnd may take to derive the keys of the backups.
	lndLimit = 30 * time.Second
)

// List judges every file in every place whose name claims to be a backup. It
// returns within the limit of an operation, and before the context's deadline,
// if it has one; a look that is too slow for that goes on: see Answered. A
// place that does not answer, or cannot be read, is an error of type
// *backup.PlaceError; the entries of the others are returned beside it.
func (k *Keeper) List(ctx context.Context) ([]backup.Entry, error) {
	bounded, cancel := hurried(ctx)
	defer cancel()

	return k.list(ctx, bounded)
}

// ListWithin is List for somebody who waits for a place no longer than a limit.
func (k *Keeper) ListWithin(ctx context.Context, limit time.Duration) (
	[]backup.Entry, error) {

	bounded, cancel := context.WithTimeoutCause(ctx, limit, errNotInTime)
	defer cancel()

	return k.list(ctx, bounded)
}

// list is List for a caller with a context, which waits for places until a
// second one ends.
func (k *Keeper) list(ctx, bounded context.Context) ([]backup.Entry, error) {
	keys, err := k.keys(ctx)
	if err != nil {
		return nil, err
	}

	type listing struct {
		entries []backup.Entry
		err     error
	}
	listings := each(k.places, func(p *place) listing {
		entries, err := p.list(bounded, keys)

		return listing{entries, err}
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}

	var (
		entries []backup.Entry
		failed  []error
	)
	for _, listing := range listings {
		entries = append(entries, listing.entries...)
		failed = append(failed, listing.err)
	}

	return entries, errors.Join(failed...)
}

// hurried returns a context that ends with the cause errNotInTime shortly
// before the deadline of another one.
func hurried(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}

	return context.WithTimeoutCause(
		ctx, time.Until(deadline)*hurry/10, errNotInTime,
	)
}

// keys asks lnd for the keys of the backups.
func (k *Keeper) keys(ctx context.Context) (backup.Keys, error) {
	ctx, cancel := context.WithTimeout(ctx, lndLimit)
	defer cancel()

	return k.cfg.Keys(ctx)
}

// Judge reads and judges one file by path, in the place that it lies in.
func (k *Keeper) Judge(ctx context.Context, path string) (backup.Entry,
	error) {

	keys, err := k.keys(ctx)
	if err != nil {
		return backup.Entry{}, err
	}
	p := k.placeOf(path)

	return perform(ctx, p, func(context.Context) (backup.Entry, error) {
		return p.store.Judge(path, keys)
	})
}

// placeOf returns the place that a file lies in: a backup in one of them, or a
// file that was received in the data directory. Files anywhere else share one
// goroutine.
func (k *Keeper) placeOf(path string) *place {
	dir := filepath.Dir(path)
	for _, p := range k.places {
		if p.dir == dir {
			return p
		}
	}
	if isBelow(path, k.home().dir) {
		return k.home()
	}

	return k.elsewhere
}

// Places returns what is known about every place, the data directory first. It
// reads memory only.
func (k *Keeper) Places() []PlaceStatus {
	result := make([]PlaceStatus, 0, len(k.places))
	for _, p := range k.places {
		result = append(result, p.status())
	}

	return result
}

// Answered returns the places that were not listed yet since the process began:
// they may hold a backup that nobody knows of. It reads memory only.
func (k *Keeper) Answered() (all bool, missing []PlaceStatus) {
	for _, status := range k.Places() {
		if !status.Answered {
			missing = append(missing, status)
		}
	}

	return len(missing) == 0, missing
}

// PlaceErrors returns the parts of an error that name a backup place.
func PlaceErrors(err error) []*backup.PlaceError {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var result []*backup.PlaceError
		for _, part := range joined.Unwrap() {
			result = append(result, PlaceErrors(part)...)
		}

		return result
	}

	var place *backup.PlaceError
	if errors.As(err, &place) {
		return []*backup.PlaceError{place}
	}

	return nil
}
