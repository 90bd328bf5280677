// Package contract holds what we assume about Loop, lnd's client, aperture and
// the database beneath them. It has no code, only tests.
//
// Everything here was read or measured in one version of a dependency, and our
// code stands on it without being able to see that it changed. So each
// assumption is a test, all of them in this one place; a move to another
// version begins with running them. Lists that are long are kept in testdata,
// so that a change reads as a difference of a text file:
//
//	go test ./internal/contract -update
//
// writes them anew. Read the difference before it is committed: each line of it
// is a decision for the package that is named in the test.
package contract
