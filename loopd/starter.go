package loopd

import (
	"context"
	"encoding/hex"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lightningnetwork/lnd/clock"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/internal/await"
	"github.com/looprecovery/looprecovery/internal/startdecision"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
)

// holdStart is the name under which the starter holds the gate, from the
// construction of the daemon until it was decided what comes first.
const holdStart = "start"

const (
	// awaitInterval is how often places that did not answer are looked at
	// again.
	awaitInterval = 5 * time.Second

	// probeInterval is how often it is looked whether the answer is still
	// the same while nothing is waited for.
	probeInterval = time.Minute

	// decidePatience is how long the swap client waits for a decision that
	// cannot be taken, because something of ours does not answer.
	decidePatience = 2 * time.Second
)

// startHold is the gate as the starter sees it: held until it is let go.
type startHold interface {
	// Release ends a hold. It does not wait.
	Release(name string)

	// Note records why the daemon is down while no holder gives a reason.
	Note(reason states.Reason)
}

// swapData is the embedded daemon's database as the starter sees it.
type swapData interface {
	actions.Rows

	// HasSwaps reports whether there is a swap or a deposit.
	HasSwaps(ctx context.Context) (bool, error)

	// AwaitsConversion reports whether the embedded daemon still has to
	// convert its database of years ago.
	AwaitsConversion() bool
}

// starterConfig is what a starter needs. All fields are set.
type starterConfig struct {
	engine *recoveryfsm.Engine
	gate   startHold
	hold   *runHold
	tokens actions.Tokens
	data   swapData

	// search looks for a backup to restore from, and waits for no place
	// longer than the limit. What did not answer by then is silent.
	search func(ctx context.Context, limit time.Duration) (
		startdecision.Search, error)

	// autoRestore is the setting of --recovery.autorestore, journalShut
	// says that no recovery can be begun or continued.
	autoRestore bool
	journalShut bool

	clock clock.Clock
}

// starter decides what comes before the swap client (package startdecision) and
// brings it about: it continues or begins a recovery, lets go of the gate, and
// says which calls have to wait. It asks again whenever a run has moved, and
// while it waits for a place: what is there is probed, never remembered.
//
// It lets go of the gate once and never takes it back. A recovery that writes
// something takes a hold of its own (runHold), of which the starter lets go
// when the run has stopped and does not need it.
type starter struct {
	cfg starterConfig

	// poked has one element if the world may have changed.
	poked chan struct{}

	// decided is the last decision, which is read from other goroutines.
	decided atomic.Pointer[startdecision.Decision]

	// situated is what was last there, nil before the first look.
	situated atomic.Pointer[startdecision.Situation]

	// failing is since when no decision could be taken, zero if one was.
	failing time.Time

	// endured says that the swap client was let go without a decision.
	endured bool

	// tookUp says that a run which an earlier process left, if there was
	// one, was taken up.
	tookUp bool

	// search is the last look for backups, nil before the first.
	search *startdecision.Search

	// mu serialises what begins and gives up recoveries.
	mu sync.Mutex
}

// newStarter returns a starter that refuses addresses until it has decided.
func newStarter(cfg starterConfig) *starter {
	s := &starter{cfg: cfg, poked: make(chan struct{}, 1)}
	s.decided.Store(&startdecision.Decision{
		Hold: states.Starting, Addresses: states.Starting,
	})

	return s
}

// run decides for as long as the context lives. What cannot be decided is asked
// again, and the log says so once.
func (s *starter) run(ctx context.Context) {
	account := await.Account{
		Clock: s.cfg.clock, Log: log, Name: "what comes first",
	}
	for ctx.Err() == nil {
		held := s.cfg.hold.current()
		decision, err := s.decide(ctx)
		if err == nil {
			err = s.carryOut(ctx, decision, held)
		}
		if ctx.Err() != nil {
			return
		}
		account.Note(err)
		s.endure(decision, err)

		switch {
		case err != nil:
			s.pause(ctx, await.MinPause)

		case decision.Step == startdecision.Await:
			s.pause(ctx, awaitInterval)
			s.search = nil

		default:
			s.pause(ctx, probeInterval)
		}
	}
}

// endure lets the swap client go when a decision is not to be had for long. An
// empty directory waits: nothing there has a deadline. Where something may be
// missing no address is made meanwhile.
func (s *starter) endure(decision startdecision.Decision, err error) {
	now := s.cfg.clock.Now()
	switch {
	case err == nil:
		s.failing, s.endured = time.Time{}, false
		return

	case s.failing.IsZero():
		s.failing = now
	}
	if now.Sub(s.failing) < decidePatience || decision.Empty {
		return
	}

	if !s.endured {
		log.Warnf("The swap client does not wait any longer for what " +
			"cannot be decided")
		s.endured = true
	}
	decision.Hold = ""
	if decision.Step != startdecision.StartClient {
		decision.Addresses = states.JournalFailed
	}
	s.decided.Store(&decision)
	s.cfg.gate.Release(holdStart)
}

// poke makes the starter decide again. It never blocks.
func (s *starter) poke() {
	select {
	case s.poked <- struct{}{}:
	default:
	}
}

// pause waits until the starter is poked, or for a time.
func (s *starter) pause(ctx context.Context, wait time.Duration) {
	select {
	case <-s.poked:
	case <-s.cfg.clock.TickAfter(wait):
	case <-ctx.Done():
	}
}

// decide looks at what is there and says what comes first. A look for backups
// is made if the decision depends on one.
func (s *starter) decide(ctx context.Context) (startdecision.Decision,
	error) {

	for {
		situation, err := s.situation(ctx)
		if err == nil {
			s.situated.Store(&situation)
		}
		decision := startdecision.Decide(situation)
		if err != nil || decision.Step != startdecision.Look {
			return decision, err
		}
		if err := s.look(ctx, decision.Limit); err != nil {
			return decision, err
		}
	}
}

// look searches for a backup within a limit.
func (s *starter) look(ctx context.Context, limit time.Duration) error {
	found, err := s.cfg.search(ctx, limit)
	if err != nil {
		return err
	}
	s.search = &found

	return nil
}

// situation probes what is there.
func (s *starter) situation(ctx context.Context) (startdecision.Situation,
	error) {

	result := startdecision.Situation{
		AwaitsConversion: s.cfg.data.AwaitsConversion(),
		AutoRestore:      s.cfg.autoRestore,
		JournalShut:      s.cfg.journalShut,
		Search:           s.search,
	}

	probe, err := s.cfg.tokens.Probe()
	if err == nil {
		result.Token = probe.Status
		err = s.addData(ctx, &result)
	}
	if err != nil {
		result.Unprobed = true
		return result, err
	}

	return result, s.addRuns(ctx, &result, probe)
}

// addData adds what the embedded daemon's database knows to a situation.
func (s *starter) addData(ctx context.Context,
	situation *startdecision.Situation) error {

	if situation.AwaitsConversion {
		return nil
	}
	rows, err := s.cfg.data.All(ctx)
	if err != nil {
		return err
	}
	situation.Rows = len(rows)
	situation.SwapData, err = s.cfg.data.HasSwaps(ctx)

	return err
}

// addRuns adds what the journal knows to a situation.
func (s *starter) addRuns(ctx context.Context,
	situation *startdecision.Situation, probe generation.TokenProbe) error {

	newest, err := s.cfg.engine.Latest(ctx)
	if err != nil {
		return err
	}
	situation.GivenUp = newest != nil && newest.State == states.Cancelled &&
		newest.Facts.Request.Automatic &&
		newest.Reason != states.Superseded

	unfinished, err := s.cfg.engine.Unfinished(ctx)
	if err != nil || unfinished == nil {
		return err
	}
	here := recoveryfsm.InPlace{Row: situation.Rows > 0}
	if probe.Status == generation.TokenPaid {
		here.TokenID = hex.EncodeToString(probe.Token.ID[:])
	}
	situation.Run = startdecision.NewRun(*unfinished, here)
	if situation.Run.Halfway {
		s.cfg.hold.join()
	}

	return nil
}

// carryOut does what was decided, given the hold that a run had on the gate
// before.
func (s *starter) carryOut(ctx context.Context,
	decision startdecision.Decision, held string) error {

	s.decided.Store(&decision)
	if decision.Hold != "" {
		s.cfg.gate.Note(decision.Hold)
	}

	switch decision.Step {
	// What this process began goes on by itself, or waits for a person.
	case startdecision.Continue:
		if s.tookUp {
			break
		}
		if err := s.cfg.engine.Continue(ctx); err != nil {
			return err
		}

	case startdecision.Restore:
		if err := s.begin(ctx); err != nil {
			return err
		}
	}

	s.tookUp = true
	if decision.Hold == "" {
		s.cfg.hold.release(held)
		s.cfg.gate.Release(holdStart)
	}

	return nil
}

// begin begins a restore by the daemon itself. One that somebody else began
// meanwhile is as good.
func (s *starter) begin(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()

	_, err := s.cfg.engine.Start(
		ctx, states.Restore, actions.Request{Automatic: true},
	)
	var refused *recoveryfsm.RefusedError
	if errors.As(err, &refused) &&
		refused.Reason == states.AlreadyRunning {

		return nil
	}

	return err
}

// giveUp is the user's word that nothing is to be waited for: it is kept like
// the cancel of a restore that the daemon began by itself. It returns nil if
// nothing was waited for.
func (s *starter) giveUp(ctx context.Context) (*recoveryfsm.Run, error) {
	if s.decided.Load().Step != startdecision.Await {
		return nil, nil
	}
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	run, err := s.cfg.engine.Unfinished(ctx)
	if err != nil || run == nil {
		return nil, err
	}
	cancelled, err := s.cfg.engine.Cancel(ctx, run.ID)
	if err != nil {
		return nil, err
	}
	s.poke()

	return &cancelled, nil
}

// addressesRefused returns why calls that make or hand out an address are
// refused now, or the empty reason.
func (s *starter) addressesRefused() states.Reason {
	return s.decided.Load().Addresses
}

// notices warns of what is in place and does not belong there by itself. It
// reads memory only.
func (s *starter) notices() []states.Notice {
	here := s.situated.Load()
	if here == nil {
		return nil
	}

	var notices []states.Notice
	if here.Rows > 0 && here.Token != generation.TokenPaid {
		notices = append(notices, states.Notice{
			Warning: states.WarnAddressAlone,
		})
	}
	if here.Token == generation.TokenPending {
		notices = append(notices, states.Notice{
			Warning: states.WarnTokenPending,
		})
	}

	return notices
}
