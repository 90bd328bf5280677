// Package backup is the encrypted, immutable backup file of one paid L402
// generation: its format, its key, its verdicts, and the places where it is
// kept.
package backup
