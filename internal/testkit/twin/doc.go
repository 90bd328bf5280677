// Package twin is an in-memory copy of everything that a recovery touches: lnd
// with its seed, accounts and counters, the chain, the token file, the address
// rows, the backup files, the gate before the embedded daemon and the memory of
// what lnd's wallet cannot see. It implements the ports of package actions and
// chainscan.Source.
//
// What is stored is real where it matters: keys come from a seed by BIP 32,
// blocks are serialised blocks with merkle roots and proof of work, tokens and
// backups are the bytes that the real packages read.
//
// Every call of a port passes one Hook, before its effect and after it. A hook
// that returns an error makes the call fail on that side of the effect, one
// that waits makes it hang, and one that returns ErrCrashed ends the process
// there; the world lives on. A test needs no other way to disturb a run.
//
// The twin also watches: what must never be done to the real things, such as
// writing the token file while the embedded daemon runs, is recorded as a
// violation.
package twin
