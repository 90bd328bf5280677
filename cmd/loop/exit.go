package main

import "strconv"

// The exit codes of our own commands. docs/cli.md lists them.
const (
	// exitOK: done; the recovery, if one is concerned, is reconciled or
	// still under way.
	exitOK = 0

	// exitFailure: any failure without a code of its own.
	exitFailure = 1

	// exitUsage: the command line is wrong; nothing was sent.
	exitUsage = 2

	// exitBlocked: the recovery waits for a person.
	exitBlocked = 3

	// exitCancelled: the recovery was cancelled.
	exitCancelled = 4

	// exitNotFound: there is no such recovery, backup or file.
	exitNotFound = 5

	// exitConnection: loopd could not be reached or is not ready.
	exitConnection = 6

	// exitDetached: the user interrupted a command that followed a
	// recovery, which goes on. It is the code of an interrupted program.
	exitDetached = 130
)

// exitStatus is returned by a command that has already said everything and
// only has a code to exit with.
type exitStatus int

// Error implements error.
func (s exitStatus) Error() string {
	return "exit status " + strconv.Itoa(int(s))
}
