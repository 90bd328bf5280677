// Package gate decides when the embedded daemon may run, and runs it.
//
// It is a lock with holders. Whoever writes what the daemon must not see half
// written takes a hold by name, and the daemon is down until the last holder
// releases it. A hold asks first and stops second:
//
//   - from the moment a hold is asked for, no new call reaches the daemon;
//   - the calls that have reached it are waited for, for a while: one of them
//     may be starting a swap;
//   - then the question is put whether something is in flight: to the daemon if
//     it is up, to its database if it is down or starting. If something is, or
//     if the question cannot be answered, the hold is refused and calls are let
//     in again: nothing was stopped;
//   - only then is the daemon stopped, or its start called off. If the start
//     could not be called off any more, the new daemon is asked before it is
//     stopped.
//
// A hold is in force when the daemon is down, and not before. Streams are ended
// at the stop, not waited for.
//
// core.go is the state machine, without goroutines, locks or time, so that a
// test can walk all its interleavings; the rest of the package moves it.
package gate
