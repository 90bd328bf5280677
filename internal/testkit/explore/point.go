package explore

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"

	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/internal/testkit/doctor"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
)

var (
	// errCall is the error of a call that fails.
	errCall = errors.New("the call failed")

	// errSave is the error of a save that fails.
	errSave = errors.New("the save failed")
)

// tokenEffects are the calls that give the token's file its name.
var tokenEffects = []string{"disk.Rename", "disk.Link"}

// hook is called at either side of every call of a port.
func (s *schedule) hook(ctx context.Context, point twin.Point) error {
	if !point.After && isEffect(point.Call) {
		s.noteEffect(point.Call)
	}
	if s.scenario.reorgs && point.Call == "scanner.Result" &&
		!point.After {

		s.reorganise.Do(func() {
			s.seen = s.scene.truth()
			s.scene.reorganise()
			s.reorgs++
		})
	}

	if point.After && slices.Contains(tokenEffects, point.Call) {
		s.notePlaced()
	}

	if isInner(point.Call) {
		return nil
	}
	if s.hanging(point) {
		return s.happen(ctx, RPCHang)
	}
	call := point.Call
	if strings.HasPrefix(call, sourceCalls) {
		point.Call += "/" + string(s.store.state())
	}

	err := s.pass(ctx, place{Point: point, Bound: ctx.Done() != nil})
	if err == nil && point.After && isEffect(call) {
		s.noteAnswer(call)
	}

	return err
}

// hanging reports whether a place does not answer a call, which it does only
// after a while.
func (s *schedule) hanging(point twin.Point) bool {
	if point.After || point.Call != "backups.List" {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()

	s.lists++

	return s.lists <= s.scenario.hangs
}

// noteAnswer remembers that whoever did something was told that it is done.
func (s *schedule) noteAnswer(call string) {
	s.mu.Lock()
	defer s.mu.Unlock()

	for i := len(s.effects) - 1; i >= 0; i-- {
		effect := &s.effects[i]
		if effect.Call == call && !effect.Answered {
			effect.Answered = true
			return
		}
	}
}

// notePlaced remembers that the token's file came into being.
func (s *schedule) notePlaced() {
	file, exists := s.scene.Tokens.Get()
	_, err := generation.ParseToken(file)
	there := exists && err == nil
	intended := s.store.intended([]states.Effect{states.TokenFile})

	s.mu.Lock()
	defer s.mu.Unlock()

	if there && !s.placed {
		s.effects = append(s.effects, doctor.Effect{
			Call: doctor.TokenPlaced, Intended: intended,
		})
	}
	s.placed = there
}

// noteEffect remembers that something is about to be done, by which run, and
// whether the journal knows that it was intended.
func (s *schedule) noteEffect(call string) {
	intended := s.store.intended(effects[call])

	s.mu.Lock()
	defer s.mu.Unlock()

	// The doctor would charge it to nobody.
	if s.id == "" {
		panic(call + " belongs to no run")
	}
	s.effects = append(s.effects, doctor.Effect{
		Call: call, Intended: intended, RunID: s.id,
	})
}

// pass notes that a boundary is passed, and lets the fault happen if it is due
// here. The error is what the call returns.
func (s *schedule) pass(ctx context.Context, at place) error {
	s.mu.Lock()
	s.visits[at.Point]++
	visit := s.visits[at.Point]
	if s.fired {
		s.window.note(at, visit)
	} else {
		s.trace.note(at, visit)
	}
	due := len(s.pending) > 0 && s.pending[0].Point == at.Point &&
		s.pending[0].Nth == visit
	var fault Fault
	if due {
		fault = s.pending[0]
		s.pending = s.pending[1:]
		s.fired = true
		s.lastKind = fault.Kind

		// From here on the boundaries are counted anew.
		s.trace, s.window = make(trace), make(trace)
		s.visits = make(map[twin.Point]int)
	}
	s.mu.Unlock()

	if !due {
		return nil
	}

	return s.happen(ctx, fault.Kind)
}

// happen makes a fault happen. The error is what the call returns.
func (s *schedule) happen(ctx context.Context, kind Kind) error {
	switch kind {
	case Crash:
		s.scene.Crash()
		return twin.ErrCrashed

	case JournalLost:
		s.dieLosing()
		return twin.ErrCrashed

	case RPCError:
		return errCall

	case SaveError:
		return errSave

	case RPCHang:
		s.clock.passDeadline()
		<-ctx.Done()
		return ctx.Err()

	case Deadline:
		s.clock.passDeadline()
		<-ctx.Done()

	case ClockJump:
		s.clock.jumpBack()

	case Cancel:
		s.cancel()

	case LockLost:
		s.stopOwner()
	}

	return nil
}

// cancel asks the engine to end the run. The context has ended already, so that
// the call does not wait for the run, which waits for this boundary.
func (s *schedule) cancel() {
	ended, end := context.WithCancel(context.Background())
	end()
	_, _ = s.engine.Cancel(ended, s.runID())
}

// stopOwner stops the engine, as the daemon does that lost its lock, and
// returns when the run has been told, while what is under way goes on.
func (s *schedule) stopOwner() {
	engine := s.engine
	stopped := make(chan struct{})
	go func() {
		engine.Stop()
		close(stopped)
	}()
	s.mu.Lock()
	s.stopped = stopped
	s.mu.Unlock()

	// An engine that was stopped says so to everybody; one that was not
	// does nothing for a caller that has gone.
	ended, end := context.WithCancel(context.Background())
	end()
	for !errors.Is(engine.Continue(ended), recoveryfsm.ErrStopped) {
		runtime.Gosched()
	}
}

// settle is called when a save is done: the first one after a fault tells what
// it left behind.
func (s *schedule) settle(save string) {
	s.mu.Lock()
	wanted := s.fired
	s.mu.Unlock()
	if wanted {
		s.settleNow(save)
	}
}

// settleNow notes what the last fault left behind: the state of things when the
// process made its next save or came to its end, and how that was.
func (s *schedule) settleNow(how string) {
	var left []stateID
	if s.compared {
		left = append(left, s.state(how))
	}

	s.mu.Lock()
	defer s.mu.Unlock()

	if s.fired {
		s.fired = false
		s.states = append(s.states, left...)
	}
}
