// Package itest tells whole stories through the real programs: btcd, two lnds
// with a channel, a swap server that is paid for its tokens, and loopd.
//
// `make itest` builds the programs and runs the stories; `make itest run=Name`
// runs some of them. Each story begins on a network of its own for as long as
// it lasts, one of two that they take turns on (world_test.go), and on
// directories that no other story uses. When it ends, what its programs left
// behind is searched for secrets (secrets_test.go).
//
// Stories that measure times or mine very many blocks have a world for
// themselves, and are told while no other one is. `make crash` runs TestCrash,
// which kills one restore after the other for twelve minutes.
//
// The logs of a story that failed are kept in .cache/itest/NAME; KEEP_LOGS=1
// keeps all.
package itest
