// Package recoveryfsm makes the tables of package states durable. It runs the
// actions of a recovery on github.com/lightninglabs/loop/fsm, in one goroutine
// a run, and keeps in a Journal what it must know to go on after the process
// died at any instant.
//
// The rules of the engine, and where they are kept:
//
//   - Intent before effect. Every action is wrapped once, by runner.work: it
//     saves the intent, acts, and saves outcome, event, new state and facts in
//     one transaction. The journal goes first and the state machine follows.
//     If a save fails nothing is done any more: the wrapper returns fsm.NoOp,
//     the run is halted, and Get says so. Nothing is saved in loop/fsm's hooks
//     or observers, which cannot refuse.
//   - At least once. A run that died between intent and outcome is resumed in
//     the state it was in, and that action probes what it did before.
//   - Errors have two kinds. An *actions.BlockError stops the run in Blocked;
//     any other error is passing and is tried again with backoff, visibly.
//   - Every stop is a state. Cancel and Stop are context cancellations with a
//     cause: loop/fsm holds its lock through a whole chain of actions, so that
//     an event could not get in. A run is resumed on a new machine at the saved
//     state, with the event states.Resume, which leads a state to itself.
//   - Status never waits. It is read from the journal, and the progress of a
//     scan from memory.
//
// Deaths of the process are counted: a state whose intent was saved, and whose
// end is not known when the next process looks, has killed it, or was killed by
// chance. After Config.CrashLimit of them in a row, without progress of the
// scan in between, the run is blocked with states.CrashLoop.
package recoveryfsm
