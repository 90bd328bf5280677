// Package recoverydb is the only owner of recovery.db, the SQLite database that
// makes a recovery survive the death of its process. It keeps the journal of
// runs (recoveryfsm.Journal), the findings of chain scans, what lnd's wallet
// cannot see, and what the keeper of the backups remembers; each is an
// interface that its caller declares, and each has a file of its own here.
//
// The database is opened with a write-ahead log and synchronous=FULL: what a
// method has reported as saved is still there after a power cut. There is one
// connection for writing and a few for reading, so that whoever asks for a
// status never waits for a writer.
//
// The schema grows by numbered files in migrations/, which are never changed
// once they were released.
//
// # Damage
//
// Nothing that can happen to the file keeps the daemon from starting. Open
// looks at a copy first: at its name, its log, SQLite's own check, the tables
// that its version must have, and everything that it holds. Damage is what
// SQLite's codes NOTADB and CORRUPT say, or what our own look finds; an error
// of input and output, of permissions, of a lock or of a full disk is returned
// as it is, and moves nothing.
//
// A damaged database is set aside as a whole, byte for byte, in a directory of
// its own below set-aside/, and a new one takes its place with the rows that
// can be read and that fit together. Four things are never salvaged, because
// half of them would be worse than nothing:
//
//   - what a scan had proved of lnd's wallet: a missing output would count as
//     spent. The wallet counts as blind until another scan has ended.
//   - a scan of which a row is missing: its run scans again.
//   - a run that is not whole, or that was about to sum up a scan that is lost.
//   - behind a torn log, which leads back to an earlier time: an unfinished
//     run, which may have been given up since, and spends that were waited
//     for.
//
// That a journal was lost is remembered in the new one until the scripts that
// lnd's wallet may be blind for have been named (lndview.View.Distrust).
//
// SQLite does not protect the pages of a database by checksums: a flipped bit
// in a text or a number is not noticed. Transactions are, by their hash.
//
// # Newer versions
//
// A database of a newer schema is left alone. It is read from a copy as far as
// its tables are those that this version knows, and every write is refused.
package recoverydb
