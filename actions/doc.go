// Package actions holds what each state of a recovery does, one file a state.
//
// An action first asks the world whether its effect is already there, acts
// only if it is not, and returns one typed outcome. It keeps nothing between
// calls: what it must remember it puts into the Facts, which the engine
// (package recoveryfsm) saves before anything else happens. Every action can
// therefore be run again after a crash at any point: execution is
// at-least-once, the visible effect is one.
//
// The package declares the ports that its actions need; package loopd
// implements them on lnd, the file system and the databases, and package
// internal/testkit/twin in memory.
package actions
