// Package upstream pins, in a module of its own, the command line of upstream's
// Loop. `make build` builds it, unchanged, as bin/loop-upstream, and our own
// loop passes it every command that is not ours.
//
// It is no part of the main module because one of its dependencies,
// urfave/cli-docs, is needed by this command alone: go.sum here carries the two
// lines of Loop's own go.sum for it.
package upstream
