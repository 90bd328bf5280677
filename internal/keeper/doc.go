// Package keeper keeps the backups of the generation in place: in the data
// directory first, and in every further place.
//
// A place may be a dead network share, on which a system call never returns.
// So whatever touches a place does so in a goroutine of that place, one at a
// time and within a limit; a place that hangs costs that one goroutine. Nobody
// waits for a place who does not need it, and Notices, Behind, Places and
// Answered read memory only.
//
// A backup pairs a token with an address. What proves that the two belong
// together is in pair.go: a clock is no proof, and refutes only what nobody
// saw.
package keeper
