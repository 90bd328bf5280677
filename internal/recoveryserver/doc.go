// Package recoveryserver is the Recovery service: what a person or a program
// asks about recoveries and backups, and how it is answered.
//
// It stands on three things, which are given to New and never nil later: the
// engine, which runs recoveries and keeps their journal; a Keeper, which knows
// the backup places; and a Gate, which says how the embedded daemon is. It
// keeps no state of its own.
//
// A status is read from memory and from the journal. It touches no disk that
// can hang and waits for nobody.
package recoveryserver
