package explore

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/internal/startdecision"
	"github.com/looprecovery/looprecovery/internal/testkit/doctor"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
)

const (
	// maxLives bounds the processes and the interventions of a person that
	// a recovery may need: more than two faults can make necessary.
	maxLives = 12

	// patience is the real time after which a recovery counts as stuck: far
	// more than a busy machine can make of a few milliseconds.
	patience = time.Minute
)

// schedule is one recovery under given faults.
type schedule struct {
	scenario Scenario
	broken   *Broken
	scene    *scene
	store    *store
	clock    *fakeClock
	engine   *recoveryfsm.Engine
	origin   doctor.World

	// compared says that what the only fault leaves is compared with what
	// others leave.
	compared bool

	reorganise sync.Once

	// asked says that a person asked for something else after a stop.
	asked bool

	// mu guards all below.
	mu sync.Mutex

	// pending are the faults that have not happened yet; fired says that
	// one has and what it left is not known yet.
	pending  []Fault
	fired    bool
	lastKind Kind

	// visits counts the visits of every boundary since the beginning or
	// since the last fault. Those between the fault and what it left are
	// in window, all others in trace. States is what each fault left.
	visits        map[twin.Point]int
	window, trace trace
	states        []stateID

	placed bool

	// lists is how often the places were listed.
	lists int

	id       string
	stopped  chan struct{}
	effects  []doctor.Effect
	cursors  []doctor.Cursor
	reorgs   int
	seen     []chainscan.Output
	findings []doctor.Finding

	// losing says that the next process finds no journal.
	losing bool
}

// Result is what a schedule led to.
type Result struct {
	// Findings are the violations.
	Findings []doctor.Finding

	// Summary is the summary of the reconciled run, empty if there is none.
	Summary string

	// window are the boundaries passed between the last fault and what it
	// left, trace those passed from there on; without a fault, all.
	window, trace trace

	// states is what each fault left.
	states []stateID

	// unreached is the number of faults that did not happen.
	unreached int
}

// run runs one schedule.
func run(scenario Scenario, broken *Broken, faults []Fault) Result {
	s := &schedule{
		scenario: scenario,
		broken:   broken,
		scene:    scenario.build(),
		store:    newStore(),
		clock:    newClock(),
		pending:  faults,
		compared: len(faults) == 1,
		visits:   make(map[twin.Point]int),
		trace:    make(trace),
	}
	s.origin = s.world()
	s.scene.Scanner.SetWrap(s.watch)
	s.scene.SetHook(s.hook)
	s.drive()
	s.scene.SetHook(nil)
	s.judge()

	return Result{
		Findings: s.findings, Summary: s.summary(),
		window: s.window, trace: s.trace, states: s.states,
		unreached: len(s.pending),
	}
}

// drive lets process after process work on the recovery, and a person help
// where one is needed, until it comes to its end.
func (s *schedule) drive() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.clock.stuck = cancel

	s.begin()
	defer func() { s.engine.Stop() }()
	for range maxLives {
		if s.runID() == "" {
			s.start(ctx)
		}
		if s.live(ctx) {
			return
		}
		if ctx.Err() != nil {
			break
		}
	}
	s.find("end", "the recovery does not come to its end")
}

// begin makes the engine of a new process.
func (s *schedule) begin() {
	var journal recoveryfsm.Journal = s.store
	if s.broken != nil && s.broken.journal != nil {
		journal = s.broken.journal(s.scene, s.store)
	}
	deps := s.scene.settings()
	if s.broken != nil && s.broken.deps != nil {
		s.broken.deps(s.scene, &deps)
	}

	deadlines := map[states.State]time.Duration{states.Start: deadline}
	for _, state := range states.RestoreTable().Path {
		deadlines[state] = deadline
	}
	s.engine = recoveryfsm.New(recoveryfsm.Config{
		Journal: &boundaryJournal{Journal: journal, schedule: s},
		Actions: func(id string) map[states.State]actions.Action {
			set := actions.Set(deps, id)
			if s.broken != nil && s.broken.actions != nil {
				s.broken.actions(s.scene, id, set)
			}

			return set
		},
		Clock:     s.clock,
		Random:    func() float64 { return 0 },
		Deadlines: deadlines,
	})
}

// start begins the recovery. Which run that makes is noted by the save of it:
// by the time that Start returns, the run may have come a long way.
func (s *schedule) start(ctx context.Context) {
	_, err := s.engine.Start(ctx, s.scenario.Kind, s.request())
	if err == nil {
		return
	}

	// A run that was to give way to this one may stand there still.
	unfinished, _ := s.store.Unfinished(ctx)
	if unfinished != nil {
		s.setRun(unfinished.ID)
	}
}

// live waits until the process or its run comes to a stop, and does what comes
// then. It reports whether the recovery is at its end.
func (s *schedule) live(ctx context.Context) bool {
	if id := s.runID(); id != "" && !s.scene.Crashed() {
		_, _ = s.engine.Wait(ctx, id)
	}

	s.mu.Lock()
	stopped := s.stopped
	s.stopped = nil
	s.mu.Unlock()
	switch {
	case stopped != nil:
		<-stopped
		s.settleNow("stopped")
		s.checkFiles()
		s.next(ctx)

		return false

	case s.scene.Crashed():
		s.engine.Stop()
		s.lose()
		s.settleNow("dead")
		s.checkFiles()
		s.next(ctx)

		return false
	}

	run, err := s.store.Run(ctx, s.runID())
	if err == nil && run.State == states.Blocked {
		s.scene.Gate.Set(s.holds(run))
		s.checkBlock(run)
	}
	switch {
	// It was never begun.
	case err != nil:
		s.settleNow("not begun")
		return false

	// A person asks for something else.
	case run.State == states.Blocked && s.wrong(run) != nil:
		s.settleNow("asked anew")
		s.asked = true
		s.setRun("")

		return false

	case run.Finished && run.State == states.Cancelled &&
		s.scenario.Blocks == "":

		// The user gave it up. He begins anew later.
		s.settleNow("cancelled")
		s.setRun("")

		return false

	case run.Finished:
		return true

	case run.State == states.Blocked && s.expected(run) && !s.waiting():

		return true
	}

	// The run is blocked or a save failed: a person looks after it.
	s.settleNow("halted")
	if _, err := s.engine.Resume(ctx, run.ID); err != nil {
		// It can have been saved that it goes on.
		s.goOn(ctx)
	}

	return false
}

// request returns what a person asks for.
func (s *schedule) request() actions.Request {
	switch {
	case s.scenario.wrong != nil && !s.asked:
		return s.scenario.wrong.request

	case s.scenario.request != nil:
		return s.scenario.request(s.scene)

	default:
		return actions.Request{}
	}
}

// wrong returns the wrong request if a run follows it, or nil.
func (s *schedule) wrong(run recoveryfsm.Run) *wrongRequest {
	wrong := s.scenario.wrong
	if wrong == nil || run.Facts.Request != wrong.request {
		return nil
	}

	return wrong
}

// expected reports whether a run is blocked for the reason for which what was
// asked must block.
func (s *schedule) expected(run recoveryfsm.Run) bool {
	blocks := s.scenario.Blocks
	if wrong := s.wrong(run); wrong != nil {
		blocks = wrong.blocks
	}

	return blocks != "" && run.Reason == blocks
}

// checkBlock notes a run that blocks for something that passes by itself.
func (s *schedule) checkBlock(run recoveryfsm.Run) {
	if !s.expected(run) {
		s.find("end", "the run blocks: %s", run.Reason)
	}
}

// holds reports whether the daemon keeps the embedded one down for a run.
func (s *schedule) holds(run recoveryfsm.Run) bool {
	here := recoveryfsm.InPlace{Row: len(s.scene.Rows.Get()) > 0}
	situation := startdecision.Situation{
		Rows: len(s.scene.Rows.Get()), AutoRestore: true,
	}
	file, _ := s.scene.Tokens.Get()
	if token, err := generation.ParseToken(file); err == nil {
		here.TokenID = hex.EncodeToString(token.ID[:])
		situation.Token = generation.TokenPaid
	}

	return situation.Holds(*startdecision.NewRun(run, here))
}

// next starts the next process. It begins with a closed gate if the run that it
// finds holds the embedded daemon.
func (s *schedule) next(ctx context.Context) {
	unfinished, err := s.store.Unfinished(ctx)
	closed := err == nil && unfinished != nil && s.holds(*unfinished)
	s.scene.Restart(closed)
	s.begin()
	if unfinished == nil {
		if s.unfinishedRun() == "" {
			s.setRun("")
		}

		return
	}
	s.setRun(unfinished.ID)
	s.goOn(ctx)
}

// goOn goes on with the unfinished run, as a process that is ready does: again,
// if the journal fails.
func (s *schedule) goOn(ctx context.Context) {
	for range maxLives {
		if s.engine.Continue(ctx) == nil || s.scene.Crashed() ||
			s.stopping() {

			return
		}
	}
}

// stopping reports whether the engine was told to stop.
func (s *schedule) stopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.stopped != nil
}

// unfinishedRun returns the id of the run if it is at its end already, so that
// nothing is begun anew.
func (s *schedule) unfinishedRun() string {
	run, err := s.store.Run(context.Background(), s.runID())
	if err != nil || run.State == states.Cancelled {
		return ""
	}

	return run.ID
}

// waiting reports whether a fault is still to happen: a run that blocks may be
// resumed for it.
func (s *schedule) waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.fired
}

// watch notes every cursor that a scan saves.
func (s *schedule) watch(next chainscan.Checkpoint) chainscan.Checkpoint {
	if s.broken != nil && s.broken.checkpoint != nil {
		next = s.broken.checkpoint(next)
	}

	return &watchedCheckpoint{next, s}
}

// watchedCheckpoint notes every cursor that is saved.
type watchedCheckpoint struct {
	chainscan.Checkpoint

	schedule *schedule
}

// Commit implements chainscan.Checkpoint.
func (w *watchedCheckpoint) Commit(ctx context.Context,
	chunk chainscan.Chunk) error {

	err := w.Checkpoint.Commit(ctx, chunk)
	if err != nil {
		return err
	}

	s := w.schedule
	id := s.runID()
	cursor, outputs := s.scene.Scanner.Stored(id)
	if cursor == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursors = append(s.cursors, doctor.Cursor{
		RunID: id, Pass: cursor.Pass, Height: cursor.Block.Height,
		Rollback: chunk.RollbackTo != nil, Outputs: len(outputs),
	})

	return nil
}

// judge asks the doctor about the end.
func (s *schedule) judge() {
	evidence := s.evidence()
	if len(evidence.Runs) == 0 {
		s.find("end", "there was no run")
		return
	}

	if s.scenario.Blocks != "" {
		s.findings = append(s.findings, doctor.Untouched(evidence)...)
	}
	s.findings = append(s.findings, doctor.Check(evidence)...)

	for _, run := range evidence.Runs {
		if s.wrong(run.Run) != nil && run.State == states.Reconciled {
			s.find("end", "a wrong request was not refused")
		}
	}
	for _, violation := range s.scene.Violations() {
		s.find(doctor.I3, "%s", violation)
	}
	if s.scene.Gate.Closed() {
		s.find("end", "the embedded daemon is held back for good")
	}
	if s.clock.tooLong > 0 {
		s.find("end", "the run waited for %v", s.clock.tooLong)
	}

	// A promise that was broken says more than that there is no end.
	slices.SortStableFunc(s.findings, func(a, b doctor.Finding) int {
		return compareBool(a.Invariant == "end", b.Invariant == "end")
	})
}

// checkFiles asks the doctor about the disk between two processes.
func (s *schedule) checkFiles() {
	s.findings = append(s.findings, doctor.Files(&doctor.Evidence{
		Before: s.origin, After: doctor.World{
			Files: s.scene.Disk.Files(),
		},
		Token: isToken, Backup: isBackup,
	})...)
}

// evidence is what the doctor looks at.
func (s *schedule) evidence() *doctor.Evidence {
	s.mu.Lock()
	defer s.mu.Unlock()

	var runs []doctor.Run
	text := ""
	for _, run := range s.runs() {
		events, err := s.store.Events(
			context.Background(), run.ID, 0, 1_000,
		)
		if err != nil {
			panic(err)
		}
		runs = append(runs, doctor.Run{Run: run, Events: events})
		text += jsonText(run) + jsonText(events)
	}
	published, _ := s.scene.Visibility.Published(s.id)

	return &doctor.Evidence{
		Before: s.origin, After: s.world(), Runs: runs,
		Journal: []byte(text), Effects: s.effects,
		Cursors: s.cursors, Truth: s.scene.truth(), Seen: s.seen,
		Published: published, Reorgs: s.reorgs,
		OnBestChain: s.onBestChain, Wanted: s.scene.wanted,
		Secrets: s.scene.secrets,
		Token:   isToken, Backup: isBackup,
	}
}

// isToken reports whether bytes are a token.
func isToken(data []byte) bool {
	_, err := generation.ParseToken(data)

	return err == nil
}

// isBackup reports whether bytes are a complete backup.
func isBackup(data []byte) bool {
	_, err := backup.ReadHeader(data)

	return err == nil
}

// onBestChain reports whether a block is part of the best chain.
func (s *schedule) onBestChain(block chainscan.BlockStamp) bool {
	if block.Height > s.scene.Chain.Tip().Height {
		return false
	}
	hash, err := s.scene.Chain.BlockHash(
		context.Background(), block.Height,
	)

	return err == nil && hash == block.Hash
}

// world describes what can be changed.
func (s *schedule) world() doctor.World {
	world := doctor.World{
		Files:    s.scene.Disk.Files(),
		Scripts:  s.scene.Lnd.Scripts(),
		Counters: s.scene.Lnd.Counters(),
	}
	for _, row := range s.scene.Rows.Get() {
		world.Rows = append(world.Rows, rowBytes(row))
	}

	return world
}

// rowBytes returns what of a row must be right. When it was made is not part of
// it.
func rowBytes(row *script.Parameters) []byte {
	return fmt.Appendf(nil, "%x %x %x %v %d %d", row.PkScript,
		row.ClientPubkey.SerializeCompressed(),
		row.ServerPubkey.SerializeCompressed(), row.KeyLocator,
		row.Expiry, row.ProtocolVersion)
}

// runs returns all runs, the oldest first.
func (s *schedule) runs() []recoveryfsm.Run {
	runs, err := s.store.Runs(context.Background(), maxLives)
	if err != nil {
		panic(err)
	}
	slices.Reverse(runs)

	return runs
}

// summary returns the summary of the last run, if it was reconciled.
func (s *schedule) summary() string {
	runs := s.runs()
	if len(runs) == 0 {
		return ""
	}

	return string(runs[len(runs)-1].Facts.Summary)
}

// runID returns the id of the run that is followed.
func (s *schedule) runID() string {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.id
}

// setRun sets the run that is followed.
func (s *schedule) setRun(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.id = id
}

// find adds a finding that the doctor does not know.
func (s *schedule) find(invariant doctor.Invariant, format string,
	args ...any) {

	s.findings = append(s.findings, doctor.Finding{
		Invariant: invariant, Detail: fmt.Sprintf(format, args...),
	})
}
