// Command loop is the command line of loopd. It has the commands that start,
// watch and end a recovery and that list the backups; docs/cli.md describes
// them. Every other command is upstream's: it is handed, with its arguments,
// streams and exit code unchanged, to upstream's own `loop`, installed beside
// this program as loop-upstream.
//
// The flags that come before a command, their environment variables and their
// defaults are upstream's too, so that one configuration serves both.
package main

//go:generate go test -trimpath -run "TestErrorList|TestMethodTable" -update .
