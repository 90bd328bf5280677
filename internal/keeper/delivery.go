package keeper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/looprecovery/looprecovery/backup"
)

// deliveryLimit is how long a delivery may wait for its turn in a place and be
// made: one operation is before it at most.
const deliveryLimit = 2 * (operationLimit + operationGrace)

// delivery is a backup on its way to a further place.
type delivery struct {
	place  *place
	parcel *parcel

	// arrived is closed at the end, when report is set.
	arrived chan struct{}
	report  backup.PlaceReport
}

// Lag names a place without a copy of the backup of the generation in place.
type Lag struct {
	// Place is the directory, TokenID the generation's token.
	Place   string
	TokenID [32]byte

	// Since is when the copy was first seen missing, and Err why it could
	// not be written.
	Since time.Time
	Err   error
}

// send has a backup written to a place, in the background. A delivery of the
// same generation that has not begun is joined, so that no more than one waits.
func (k *Keeper) send(p *place, parcel *parcel) *delivery {
	p.mu.Lock()
	defer p.mu.Unlock()

	if queued := p.queued; queued != nil && queued.parcel.content.
		Address.ClientKey.IsEqual(parcel.content.Address.ClientKey) &&
		queued.parcel.content.TokenID == parcel.content.TokenID {

		return queued
	}
	sent := &delivery{
		place: p, parcel: parcel, arrived: make(chan struct{}),
	}
	p.queued = sent
	go sent.deliver(p.life)

	return sent
}

// deliver makes the delivery. It ends within deliveryLimit.
func (d *delivery) deliver(ctx context.Context) {
	defer close(d.arrived)

	ctx, cancel := context.WithTimeout(ctx, deliveryLimit)
	defer cancel()
	report, err := perform(ctx, d.place, func(ctx context.Context) (
		backup.PlaceReport, error) {

		d.leaveQueue()
		report := d.place.publish(ctx, d.parcel)
		d.place.noteCopy(d.parcel.content.TokenID, report)

		return report, nil
	})
	d.leaveQueue()
	if err != nil {
		report = d.place.failed(err)
		d.place.noteCopy(d.parcel.content.TokenID, report)
	}
	d.report = report
}

// leaveQueue lets others send again.
func (d *delivery) leaveQueue() {
	d.place.mu.Lock()
	defer d.place.mu.Unlock()

	if d.place.queued == d {
		d.place.queued = nil
	}
}

// noteCopy keeps whether the place has a copy, and if not since when.
func (p *place) noteCopy(tokenID [32]byte, report backup.PlaceReport) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if report.Err == nil {
		if p.lag != nil {
			log.Infof("%s has the backup again", p.dir)
		}
		p.lag = nil
		return
	}

	lag := &Lag{
		Place: p.dir, TokenID: tokenID, Since: p.now(),
		Err: report.Err,
	}
	if p.lag != nil && p.lag.TokenID == tokenID {
		lag.Since = p.lag.Since
	} else {
		log.Warnf("A copy of the backup is missing in %s: %v", p.dir,
			report.Err)
	}
	p.lag = lag
}

// forgetLags forgets what lacks a copy: there is nothing to copy.
func (k *Keeper) forgetLags() {
	for _, p := range k.further() {
		p.mu.Lock()
		p.lag = nil
		p.mu.Unlock()
	}
}

// Behind returns the places without a copy, from memory.
func (k *Keeper) Behind() []Lag {
	var lags []Lag
	for _, p := range k.further() {
		p.mu.Lock()
		if p.lag != nil {
			lags = append(lags, *p.lag)
		}
		p.mu.Unlock()
	}

	return lags
}

// awaitCopies waits until enough further places hold the backup, or until that
// cannot be any more. Two names of one directory hold one copy.
func (k *Keeper) awaitCopies(ctx context.Context, sent []*delivery,
	want uint32) error {

	if want == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	copies := k.newCopies()
	arrived := arrivals(ctx, sent)
	for range sent {
		select {
		case delivery := <-arrived:
			copies.add(delivery)

		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if copies.count >= int(want) {
			return nil
		}
	}

	return &copyError{
		have: copies.count, want: int(want),
		failed: errors.Join(copies.failed...),
	}
}

// arrivals yields deliveries in the order in which they arrive.
func arrivals(ctx context.Context, sent []*delivery) <-chan *delivery {
	arrived := make(chan *delivery, len(sent))
	for _, delivery := range sent {
		go func() {
			select {
			case <-delivery.arrived:
				arrived <- delivery

			case <-ctx.Done():
			}
		}()
	}

	return arrived
}

// copies counts the further places that hold a backup, each directory once.
type copies struct {
	count  int
	failed []error
	holder map[[2]uint64]string
}

// newCopies counts from the data directory on, which is no further place.
func (k *Keeper) newCopies() *copies {
	c := &copies{holder: make(map[[2]uint64]string)}
	c.isNew(k.home())

	return c
}

// add counts a delivery.
func (c *copies) add(sent *delivery) {
	err := sent.report.Err
	if err == nil {
		err = c.isNew(sent.place)
	}
	if err != nil {
		c.failed = append(c.failed, sent.place.fail(err))
		return
	}
	c.count++
}

// isNew returns an error if another place is the same directory.
func (c *copies) isNew(p *place) error {
	seen := p.seen()
	if seen.Device == 0 && seen.Inode == 0 {
		return nil
	}
	key := [2]uint64{seen.Device, seen.Inode}
	if other, ok := c.holder[key]; ok {
		return fmt.Errorf("is the same directory as %s", other)
	}
	c.holder[key] = p.dir

	return nil
}
