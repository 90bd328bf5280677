// Package backup is the encrypted, immutable backup file of one paid L402
// generation: its format, its key, its verdicts, and the places where it is
// kept.
//
// A file is written once, with Store.Publish, and never changed: it is complete
// under its name or not there (or torn, and judged so, on a disk that allows no
// better: durable.Promise), and nothing in its way is replaced. Open and
// Store.Judge say of a file either what it holds or, with a Verdict of a closed
// list, why it cannot be used. Nobody needs a key to tell a damaged file from a
// good one, and nobody but the holder of the lnd seed learns more than the
// header: network, token id and creation time.
//
// docs/backup-format.md specifies the bytes.
package backup
