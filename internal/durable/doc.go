// Package durable writes files that are complete under their final name after
// any crash or power cut, and replaces nothing; and it reads files from places
// that others write to.
//
// Publish is the one way in which this project makes a file that must not be
// lost: a backup, and the L402 token. What it promises, and the little less
// that the weakest file systems allow, is tried in package powercut, on a file
// system that is cut off at every point (package crash).
//
// Nothing here waits for what has a file's name and is none: a file is opened
// without blocking, judged by its handle and read up to a limit.
package durable
