package keeper

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/states"
)

// flightLimit is how long the part of a flight may take that lnd, the database
// and the data directory have to answer in.
const flightLimit = time.Minute

// Silence is the status of a place that did not answer when a backup was to be
// written to it.
const Silence backup.Status = "does not answer"

// flight is one attempt to have the generation in place backed up everywhere.
// There is never more than one under way and one that waits, whoever asks: who
// asks while one is under way needs the next one, since the generation may have
// become complete in between.
type flight struct {
	// landed is closed when the data directory's part is over. The rest is
	// set then.
	landed chan struct{}

	// err is why the data directory has no backup.
	err error

	// home is how it went in the data directory, nil if there is nothing
	// to protect or it did not come to that; deliveries are on their way
	// to the further places.
	home       *backup.PlaceReport
	deliveries []*delivery
}

// wait waits until the data directory's part is over.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.landed:
		return f.err

	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Protect makes sure that the generation in place has a durable backup in the
// data directory and in at least minCopies further places, and waits for no
// more than these. It does nothing if there is no complete generation. The call
// can be given up at any moment; what it began goes on.
func (k *Keeper) Protect(ctx context.Context, minCopies uint32) error {
	flight := k.board()
	if err := flight.wait(ctx); err != nil || flight.home == nil {
		return err
	}

	return k.awaitCopies(ctx, flight.deliveries, minCopies)
}

// Create is Protect for a user who wants to see how it went in each place, or
// why it did not. It waits for every place, each within its limit. The report
// is nil if there is nothing to protect.
func (k *Keeper) Create(ctx context.Context) (*backup.Report, error) {
	flight := k.board()
	if err := flight.wait(ctx); err != nil && flight.home == nil {
		return nil, err
	}
	if flight.home == nil {
		return nil, nil
	}

	report := &backup.Report{Places: []backup.PlaceReport{*flight.home}}
	for _, delivery := range flight.deliveries {
		select {
		case <-delivery.arrived:
			report.Places = append(report.Places, delivery.report)

		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}

	return report, flight.err
}

// board returns the next flight.
func (k *Keeper) board() *flight {
	k.mu.Lock()
	defer k.mu.Unlock()

	if k.next == nil {
		k.next = &flight{landed: make(chan struct{})}
	}
	if !k.flying {
		k.flying = true
		go k.fly()
	}

	return k.next
}

// fly lets one flight after the other go, until nobody waits for one.
func (k *Keeper) fly() {
	for {
		k.mu.Lock()
		flight := k.next
		k.next = nil
		k.flying = flight != nil
		k.mu.Unlock()
		if flight == nil {
			return
		}

		ctx, cancel := context.WithTimeout(k.life, flightLimit)
		flight.err = k.protectHome(ctx, flight)
		cancel()
		k.noteFlight(flight)
		close(flight.landed)
	}
}

// noteFlight keeps what stands in the way of protection.
func (k *Keeper) noteFlight(flight *flight) {
	k.mu.Lock()
	defer k.mu.Unlock()

	if flight.err == nil {
		k.missing = nil
		return
	}
	detail := flight.err.Error()
	if k.missing == nil || k.missing.Detail != detail {
		log.Warnf("The static address in use is not protected by a "+
			"backup: %v", flight.err)
	}
	k.missing = &states.Notice{
		Warning: states.WarnNotProtected, Detail: detail,
	}
}

// protectHome makes sure that the data directory has a backup of the generation
// in place, and sends its bytes to the further places.
func (k *Keeper) protectHome(ctx context.Context, flight *flight) error {
	content, keys, err := k.content(ctx)
	if err != nil {
		return err
	}
	if content == nil {
		k.forgetLags()
		return nil
	}

	home := k.home()
	parcel, report, err := k.publishHome(ctx, content, keys)
	if parcel == nil {
		return err
	}
	flight.home = &report
	if err != nil {
		return &backup.PlaceError{Place: home.dir, Err: err}
	}
	for _, p := range k.further() {
		flight.deliveries = append(
			flight.deliveries, k.send(p, parcel),
		)
	}

	return nil
}

// parcel is a backup on its way into a place. The keys are dropped with it.
type parcel struct {
	content *backup.Content
	data    []byte
	keys    backup.Keys
}

// publishHome makes sure that the data directory has a backup, and returns it.
// The parcel is nil if it did not come to that.
func (k *Keeper) publishHome(ctx context.Context, content *backup.Content,
	keys backup.Keys) (*parcel, backup.PlaceReport, error) {

	type outcome struct {
		parcel *parcel
		report backup.PlaceReport
	}
	home := k.home()
	got, err := perform(ctx, home, func(ctx context.Context) (outcome,
		error) {

		sealed, err := home.seal(ctx, content, keys)
		if err != nil {
			return outcome{}, err
		}
		report := home.publish(ctx, sealed)

		return outcome{sealed, report}, report.Err
	})

	return got.parcel, got.report, err
}

// seal returns the backup of a generation that the place holds, or a new one.
// It runs in the place's goroutine.
func (p *place) seal(ctx context.Context, content *backup.Content,
	keys backup.Keys) (*parcel, error) {

	data, held, err := p.store.Find(ctx, content, keys)
	if err != nil {
		log.Warnf("Looking for a backup: %v", err)
	}
	if held == nil {
		held = content
		data, err = backup.Seal(content, keys, rand.Reader)
		if err != nil {
			return nil, err
		}
	}

	return &parcel{content: held, data: data, keys: keys}, nil
}

// publish makes sure that the place holds a backup. A pair that a person
// accepted does not stand against a valid backup that contradicts it. It runs
// in the place's goroutine.
func (p *place) publish(ctx context.Context,
	parcel *parcel) backup.PlaceReport {

	if err := p.enter(ctx); err != nil {
		return p.failed(err)
	}
	if parcel.content.PairAccepted {
		err := p.store.Conflict(ctx, parcel.content, parcel.keys)
		if err != nil {
			return p.failed(err)
		}
	}
	report, err := p.store.PublishBytes(
		ctx, parcel.data, parcel.content, parcel.keys,
	)
	if len(report.Places) != 1 {
		return p.failed(err)
	}
	if err == nil {
		p.note(nil)
		p.weigh(report.Places[0])
	}

	return report.Places[0]
}

// weigh keeps what the place promises: what the backup was written with. Where
// it was there already, written by an earlier process, the place is probed,
// once for each disk that is seen there. It runs in the place's goroutine.
func (p *place) weigh(report backup.PlaceReport) {
	promise := report.Promise
	if report.Status == backup.AlreadyThere {
		if p.weighed != nil && *p.weighed == p.seen() {
			return
		}
		var err error
		promise, err = durable.Probe(
			p.files, p.dir, filepath.Base(report.Path),
		)
		if err != nil {
			log.Debugf("What %s promises is not known: %v", p.dir,
				err)

			return
		}
	}
	identity := p.seen()
	p.weighed = &identity

	p.mu.Lock()
	defer p.mu.Unlock()
	p.weak = promise == durable.MaybeTorn
}

// failed is the report of a place that holds no backup.
func (p *place) failed(err error) backup.PlaceReport {
	report := backup.PlaceReport{
		Place: p.dir, Status: backup.Failed, Err: err,
	}
	var silent *SilentError
	if errors.As(err, &silent) {
		report.Status = Silence
	}

	return report
}

// copyError says that fewer further places than wanted hold the backup.
type copyError struct {
	have, want int
	failed     error
}

// Error implements error.
func (e *copyError) Error() string {
	return fmt.Sprintf("%d of %d further copies: %v", e.have, e.want,
		e.failed)
}

// Unwrap returns the causes.
func (e *copyError) Unwrap() error {
	return e.failed
}
