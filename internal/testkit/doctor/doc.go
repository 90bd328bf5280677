// Package doctor checks what this software promises: the invariants I1 to I10,
// which evidence.go lists. It only reads, and works on plain data, so that
// whoever can describe what was before, what is now and what the journal says
// can ask it. It is the oracle of internal/testkit/explore.
//
//	evidence.go  what a check looks at
//	files.go     I1, I2, I8: what is on the disk
//	history.go   I3, I5 and what a run tells of itself: the journal
//	effects.go   I4, I9, I10: what was changed in lnd and in the database
//	result.go    I6, I7: what was found
//
// The functions are called once for a run, after it came to its end; Files also
// after each death of the process.
package doctor
