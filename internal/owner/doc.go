// Package owner makes one process the only one that writes, swaps and recovers.
//
// Two locks do it, and both end with the process, however that ends: one on the
// file recovery.lock in the data directory, and with PostgreSQL also an
// advisory lock on the database, since there the database can be shared by
// daemons with directories of their own. The file's is taken first. Who does
// not get it exits with SQLite; with PostgreSQL it waits for both as a standby,
// which answers calls and starts nothing.
//
// The database's lock belongs to one session, which is the only connection that
// this package holds, for as long as it holds one. When the server ends the
// session the lock is gone at once, and somebody else may have it: so whoever
// gets it waits for as long as a former owner may need to notice and to stop.
package owner
