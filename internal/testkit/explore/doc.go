// Package explore tries every fault, and every pair of faults, at every
// boundary of a recovery, on the in-memory world of internal/testkit/twin, and
// asks package doctor after each whether every promise was kept.
//
//	fault.go     the kinds of faults, and the boundaries where each fits
//	clock.go     a time that passes only when something waits for it
//	scenario.go  a world in which a recovery begins; scenarios.go has all
//	store.go     the journal, with a boundary on either side of each save
//	schedule.go  one recovery under given faults, process after process
//	point.go     what happens at a boundary
//	state.go     what a fault left behind, so that equal ones are told
//	explore.go   all schedules
//	broken.go    worlds with one part broken, which must be noticed;
//	             brokenjournal.go and brokenports.go are the parts, and
//	             mutants.go the mistakes of the engine and the actions
//
// A boundary is a side of an effect or of a save of the journal, where a
// process can die between two things; or the call of a port, which can fail or
// hang. After a first fault the recovery goes on from what that left when the
// process made its next save or came to its end: journal, world, and how it
// came there. Where two first faults left the same, the same second faults have
// the same ends. They are run after one of the two, and it is checked that both
// recoveries pass the same boundaries from there on. Second faults that lie
// before that moment are run after each first one.
package explore
