// Package recoverydb is the only owner of recovery.db, the SQLite database that
// makes a recovery survive the death of its process. It keeps the journal of
// runs (recoveryfsm.Journal) and the findings of chain scans; each is an
// interface that its caller declares, and each has a file of its own here.
//
// The database is opened with a write-ahead log and synchronous=FULL: what a
// method has reported as saved is still there after a power cut. There is one
// connection for writing and a few for reading, so that whoever asks for a
// status never waits for a writer.
//
// The schema grows by numbered files in migrations/, which are never changed
// once they were released. A database of a newer schema than this binary knows
// is refused.
package recoverydb
