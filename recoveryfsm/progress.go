package recoveryfsm

import (
	"context"
	"sync"
	"time"

	"github.com/looprecovery/looprecovery/chainscan"
)

const (
	// progressInterval is the shortest time between two saves of ordinary
	// progress.
	progressInterval = 500 * time.Millisecond

	// rateInterval is the time over which one rate is measured.
	rateInterval = time.Second

	// rateWeight is the weight of the newest rate in the average.
	rateWeight = 0.3
)

// progressKeeper keeps the progress of a run's scan in this process.
type progressKeeper struct {
	mutex sync.Mutex

	// progress is the latest, nil until the scan reports.
	progress *Progress

	// saved is when progress was last saved.
	saved time.Time

	// sampled is when, and at which mark, the rate was last measured.
	sampled   time.Time
	sampledAt Mark
}

// SaveProgress takes the progress of a run's scan. It is called by the scan's
// goroutine, as often as that likes; it is shown at once, and saved at most
// twice a second, but always for a reorganisation and at the end of a pass. A
// save that fails is logged: nothing rests on it. Progress of a run that is not
// at work is ignored.
func (e *Engine) SaveProgress(runID string, scan chainscan.Progress) {
	active := e.current(runID)
	if active == nil {
		return
	}

	progress, due := active.progress.take(at(e.cfg.Clock.Now()), scan)
	if due {
		err := e.saving(func(ctx context.Context) error {
			return e.cfg.Journal.SaveProgress(ctx, runID, progress)
		})
		if err != nil {
			log.Warnf("Unable to save the progress of recovery "+
				"%s: %v", runID, err)
		}
	}
	e.notify()
}

// take takes over the progress of the scan. It returns it as it is shown, and
// whether it is to be saved now.
func (k *progressKeeper) take(now time.Time, scan chainscan.Progress) (
	Progress, bool) {

	k.mutex.Lock()
	defer k.mutex.Unlock()

	next := Progress{
		Height:   scan.Height,
		Birthday: scan.Birthday,
		Tip:      scan.Tip,
		Pass:     scan.Pass,
		Outputs:  scan.Outputs,
		Started:  now,
		Updated:  now,
	}
	if k.progress != nil {
		next.Started = k.progress.Started
		next.Reorg = k.progress.Reorg
		next.BlocksPerSecond = k.progress.BlocksPerSecond
	}
	if scan.Reorg != nil {
		reorg := *scan.Reorg
		next.Reorg = &reorg
	}
	k.measure(&next)
	k.progress = &next

	due := now.Sub(k.saved) >= progressInterval || scan.Reorg != nil ||
		scan.Height >= scan.Tip
	if due {
		k.saved = now
	}

	return next, due
}

// measure fills in rate and time to the end. A new pass, or a step back, begins
// the measuring of a new stretch.
func (k *progressKeeper) measure(next *Progress) {
	mark := next.mark()
	passed := next.Updated.Sub(k.sampled)
	switch {
	case k.sampled.IsZero() || mark.Pass != k.sampledAt.Pass ||
		mark.Height < k.sampledAt.Height:

		k.sampled, k.sampledAt = next.Updated, mark

	case passed >= rateInterval:
		blocks := float64(mark.Height - k.sampledAt.Height)
		rate := blocks / passed.Seconds()
		if next.BlocksPerSecond > 0 {
			rate = rateWeight*rate +
				(1-rateWeight)*next.BlocksPerSecond
		}
		next.BlocksPerSecond = rate
		k.sampled, k.sampledAt = next.Updated, mark
	}

	if next.BlocksPerSecond > 0 && next.Tip > next.Height {
		left := float64(next.Tip-next.Height) / next.BlocksPerSecond
		next.ETA = time.Duration(left * float64(time.Second)).Round(
			time.Second,
		)
	}
}

// latest returns a copy of the latest progress, or nil.
func (k *progressKeeper) latest() *Progress {
	k.mutex.Lock()
	defer k.mutex.Unlock()

	if k.progress == nil {
		return nil
	}
	progress := *k.progress

	return &progress
}

// reported returns when progress was last reported; zero if it never was.
func (k *progressKeeper) reported() time.Time {
	k.mutex.Lock()
	defer k.mutex.Unlock()

	if k.progress == nil {
		return time.Time{}
	}

	return k.progress.Updated
}
