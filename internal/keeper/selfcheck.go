package keeper

import (
	"context"
	"time"
)

const (
	// copyRetryInterval is how often a backup that is missing in a place is
	// tried to be written there again.
	copyRetryInterval = time.Minute

	// lookInterval is how often a place is looked at again that could not
	// be read.
	lookInterval = 5 * time.Second

	// checkLimit is how long lnd may take to answer for all files of a
	// check.
	checkLimit = 10 * time.Minute
)

// Run protects the generation in place and keeps the backups as they should be:
// what is missing in a place is written as soon as that place takes it, a place
// that could not be read is looked at again, and every copy is read, decrypted
// and judged at each interval. Nothing that it finds ends it; it becomes a
// warning. It returns when the context ends.
func (k *Keeper) Run(ctx context.Context) {
	look, retry := lookInterval, copyRetryInterval
	if interval := k.cfg.CheckInterval; interval != 0 {
		look, retry = min(look, interval), min(retry, interval)
	}

	var protect, check schedule
	for ctx.Err() == nil {
		if protect.due(retry) && (protect.first() || k.incomplete()) {
			// What is wrong is kept as a warning.
			_ = k.Protect(ctx, 0)
			protect.done()
		}
		if k.cfg.CheckInterval != 0 && check.due(k.cfg.CheckInterval) &&
			k.check(ctx) {

			check.done()
		}
		k.lookAgain(ctx)

		select {
		case <-time.After(look):

		case <-ctx.Done():
		}
	}
}

// check is one check of every copy, and of whether every place has one. It
// reports whether it could be made.
func (k *Keeper) check(ctx context.Context) bool {
	// A copy that is missing is written again; if that fails it is a
	// warning already.
	_ = k.Protect(ctx, 0)

	// There is no deadline for the places: each has a limit of its own.
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(checkLimit, cancel).Stop()
	files, err := k.JudgeAll(limited)
	if err != nil && len(PlaceErrors(err)) == 0 {
		log.Warnf("The backups could not be checked: %v", err)
		return false
	}
	log.Infof("Checked %d backup files", len(files))

	return true
}

// lookAgain lists the places that could not be read. One that does not answer
// is left to its own goroutine.
func (k *Keeper) lookAgain(ctx context.Context) {
	var lost []*place
	for _, p := range k.places {
		status := p.status()
		if status.State != Silent &&
			(status.State != Answering || !status.Answered) {

			lost = append(lost, p)
		}
	}
	if len(lost) == 0 {
		return
	}
	keys, err := k.keys(ctx)
	if err != nil {
		return
	}
	each(lost, func(p *place) error {
		_, err := p.list(ctx, keys)

		return err
	})
}

// schedule says when something is due again. It goes by the time that passed,
// which a clock that is set does not change.
type schedule struct {
	last time.Time
}

// first reports whether it was never done.
func (s *schedule) first() bool {
	return s.last.IsZero()
}

// due reports whether it is due.
func (s *schedule) due(interval time.Duration) bool {
	return s.first() || time.Since(s.last) >= interval
}

// done says that it was done now.
func (s *schedule) done() {
	s.last = time.Now()
}
