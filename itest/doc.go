// Package itest tells whole stories through the real programs: btcd, two lnds
// with a channel, a swap server that is paid for its tokens, and loopd.
//
// `make itest` builds the programs and runs the stories; `make itest run=Name`
// runs some of them. The logs of a story that failed are kept in
// .cache/itest/NAME; KEEP_LOGS=1 keeps all.
package itest
