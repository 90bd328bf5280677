package loopd

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/internal/await"
	"github.com/looprecovery/looprecovery/states"
	"github.com/looprecovery/looprecovery/staticaddr"
)

const (
	// proofBlocks is the number of blocks after which a proof looks whether
	// it is in somebody's way, and politeBlocks the same for one that
	// nobody waits for.
	proofBlocks, politeBlocks = 2_000, 100

	// proofPause is how long a proof waits while it is in somebody's way or
	// after an error, and missingPause how long for blocks that the node
	// does not have.
	proofPause, missingPause = 5 * time.Second, time.Minute

	// proofPrefix begins the name under which a proof keeps its progress.
	proofPrefix = "proof "
)

// prover proves what was paid to the addresses in place. That lnd's wallet sees
// all of it is no matter of memory: whatever no scan has covered is walked from
// its birthday, in the background, and handed to the view. While a deposit of
// the database is unverified it goes as fast as it can; if lnd's wallet knows
// every one of them it is polite: one request at a time, and none while a swap
// is in flight.
type prover struct {
	daemon *Daemon

	// poked has one element if there may be something to prove.
	poked chan struct{}

	// memory keeps the progress while the journal cannot.
	memory *chainscan.MemoryCheckpoint

	// account logs what stands in the way.
	account await.Account

	// now is how far it has come.
	now atomic.Pointer[proof]

	// mu guards quiet, that nobody waits for the proof since lnd's wallet
	// knows every deposit of the database; doubts, how often that was to be
	// asked anew; and interrupt, which ends the walk under way.
	mu        sync.Mutex
	quiet     bool
	doubts    uint64
	interrupt context.CancelFunc
}

// proof is how far the proving has come.
type proof struct {
	// quiet says that nobody waits for it, as prover.quiet does.
	quiet bool

	// height is the last block walked, of those up to tip; 0 before the
	// first. left is an estimate of the time it takes.
	height, tip int32
	left        time.Duration

	// err is what stands in the way, or nil.
	err error
}

// String tells a person how far the proof has come, for the end of a sentence.
func (p proof) String() string {
	var missing *chainscan.UnavailableError
	switch {
	case errors.As(p.err, &missing):
		return fmt.Sprintf("; lnd's node does not have block %d, "+
			"which must be searched", missing.Block.Height)

	case p.err != nil:
		return fmt.Sprintf("; the search waits: %v", p.err)

	case p.height == 0:
		return ""

	case p.left == 0:
		return fmt.Sprintf("; searched up to block %d of %d", p.height,
			p.tip)
	}

	return fmt.Sprintf("; searched up to block %d of %d, about %v left",
		p.height, p.tip, p.left)
}

// newProver returns a prover that does nothing yet.
func (d *Daemon) newProver() *prover {
	p := &prover{
		daemon: d,
		poked:  make(chan struct{}, 1),
		memory: chainscan.NewMemoryCheckpoint(),
		account: await.Account{
			Log: log, Name: "the search for deposits",
		},
	}
	p.now.Store(&proof{})

	return p
}

// poke makes the prover look again. It never blocks.
func (p *prover) poke() {
	select {
	case p.poked <- struct{}{}:
	default:
	}
}

// doubt makes the prover look again, and forget what lnd's wallet knew: it may
// be another one now. A walk that was begun politely is not waited for: it goes
// on from where it was, as fast as it is then needed. It never blocks.
func (p *prover) doubt() {
	p.mu.Lock()
	p.quiet = false
	p.doubts++
	if p.interrupt != nil {
		p.interrupt()
	}
	p.mu.Unlock()
	p.poke()
}

// look asks whether anybody waits for the proof, and returns the context of a
// walk that a doubt since the asking ends.
func (p *prover) look(ctx context.Context) (context.Context,
	context.CancelFunc, error) {

	p.mu.Lock()
	doubts := p.doubts
	p.mu.Unlock()
	quiet, err := p.isQuiet(ctx)

	p.mu.Lock()
	defer p.mu.Unlock()

	walkCtx, cancel := context.WithCancel(ctx)
	p.quiet, p.interrupt = quiet, cancel
	if doubts != p.doubts {
		p.quiet = false
		cancel()
	}

	return walkCtx, cancel, err
}

// status returns how far the prover has come. It never waits.
func (p *prover) status() proof {
	status := *p.now.Load()
	p.mu.Lock()
	defer p.mu.Unlock()
	status.quiet = p.quiet

	return status
}

// run proves whatever is unproven for as long as the context lives.
func (p *prover) run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := time.Duration(0)
		unproven := p.daemon.view.Unproven()
		if len(unproven) > 0 {
			wait = p.step(ctx, unproven[0])
		} else {
			p.now.Store(&proof{})
			wait = probeInterval
		}
		if wait == 0 {
			continue
		}

		select {
		case <-p.poked:
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// step brings the proof of a script forward and returns how long to wait for
// the next one.
func (p *prover) step(ctx context.Context, pkScript []byte) time.Duration {
	before := p.status()
	next := proof{height: before.height, tip: before.tip}
	walkCtx, cancel, err := p.look(ctx)
	defer cancel()
	next.quiet, next.err = p.status().quiet, err

	wait := proofPause
	if p.daemon.cfg.Recovery.AutoScan == "off" {
		wait = probeInterval
	}
	if next.err == nil && p.mayWalk(ctx, next.quiet) {
		told := next
		p.now.Store(&told)
		began := time.Now()
		next, next.err = p.walk(walkCtx, pkScript, next)
		next.estimate(before.height, time.Since(began))
		wait = 0
	}
	if walkCtx.Err() != nil {
		return 0
	}

	p.account.Note(next.err)
	p.now.Store(&next)
	var missing *chainscan.UnavailableError
	switch {
	case errors.As(next.err, &missing):
		return missingPause

	case next.err != nil:
		return proofPause
	}

	return wait
}

// estimate computes how long the rest takes, from the blocks walked in a time.
func (p *proof) estimate(from int32, took time.Duration) {
	walked := p.height - from
	if from == 0 || walked <= 0 {
		return
	}
	left := took / time.Duration(walked) * time.Duration(p.tip-p.height)
	p.left = left.Round(time.Second)
}

// isQuiet says whether lnd's wallet knows every deposit of the database. An lnd
// that cannot be asked may know none.
func (p *prover) isQuiet(ctx context.Context) (bool, error) {
	provisional, err := p.daemon.view.Provisional(ctx)

	return err == nil && len(provisional) == 0, err
}

// mayWalk says whether nobody is in the way: a recovery that walks the chain
// itself, a setting, and for a proof that nobody waits for, a swap.
func (p *prover) mayWalk(ctx context.Context, quiet bool) bool {
	d := p.daemon
	if d.cfg.Recovery.AutoScan == "off" {
		return false
	}
	run, err := d.engine.Unfinished(ctx)
	if err == nil && run != nil && run.State != states.Blocked {
		return false
	}
	if !quiet {
		return true
	}
	task, err := d.database.InFlight(ctx)

	return err == nil && task == ""
}

// errNoRow says that the database has no address of a script that is searched
// for: it was taken out, or is read again soon.
var errNoRow = errors.New("the database does not have the address")

// walk walks some blocks for a script. When the tip is reached the view is
// told.
func (p *prover) walk(ctx context.Context, pkScript []byte, now proof) (proof,
	error) {

	d := p.daemon
	row, err := p.row(ctx, pkScript)
	if err == nil && row == nil {
		err = errNoRow
	}
	if err != nil {
		return now, err
	}
	birthday, err := actions.BirthdayInPlace(ctx, d.deps, row)
	if err != nil {
		return now, err
	}

	blocks, requests := proofBlocks, 0
	if now.quiet {
		blocks, requests = politeBlocks, 1
	}
	id := proofPrefix + hex.EncodeToString(pkScript)
	scan, err := chainscan.Open(ctx, chainscan.Config{
		Source: d.source,
		Families: []chainscan.Family{staticaddr.NewFixedFamily(
			staticaddr.FromParameters(row),
		)},
		Birthday:    birthday,
		Checkpoint:  p.checkpoint(id),
		MaxInFlight: requests,
		Progress: func(progress chainscan.Progress) {
			now.height, now.tip = progress.Height, progress.Tip
			told := now
			p.now.Store(&told)
		},
	})
	if err != nil {
		return now, err
	}
	defer scan.Close()

	complete, err := scan.Advance(ctx, blocks)
	if err != nil || !complete {
		return now, err
	}

	return now, d.view.Publish(ctx, id, [][]byte{pkScript}, scan.Result())
}

// row returns the address row of a script, or nil if it is gone.
func (p *prover) row(ctx context.Context, pkScript []byte) (*script.Parameters,
	error) {

	rows, err := p.daemon.database.All(ctx)
	for _, row := range rows {
		if bytes.Equal(row.PkScript, pkScript) {
			return row, err
		}
	}

	return nil, err
}

// checkpoint returns where the progress is kept.
func (p *prover) checkpoint(id string) chainscan.Checkpoint {
	if p.daemon.journal.Report().ReadOnly() {
		return p.memory
	}

	return p.daemon.journal.Checkpoint(id)
}
