// Package states holds the tables of the recovery state machines as data:
// which states exist, which event leads from which state to which, and the
// closed list of reasons for which a run can stop.
//
// It performs no input or output and knows nothing of how a state does its
// work (package actions) or how a run is kept (package recoveryfsm), so that
// the command line, the documentation generator and the daemon can all read
// the same table.
package states

//go:generate go run ./cmd/diagram -out ../docs/state-machine.md
