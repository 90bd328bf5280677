// Package failpoint names the points at which a crash is worth trying: between
// two effects, or between an effect and its record. A binary built with the tag
// "failpoint" kills itself, as kill -9 would, when it reaches the point that
// the environment variable LOOP_RECOVERY_FAILPOINT names. In every other
// binary the functions are empty and inlined, so that release binaries contain
// no point at all.
//
// The engine (package recoveryfsm) passes two points in every state: one when
// the intent was saved and nothing was done yet, one when all was done and
// nothing of it was saved. The points within the work of a state are named for
// their hazard.
package failpoint
