// Package durable writes files that are complete under their final name after
// any crash or power cut, and replaces nothing.
//
// Publish is the one way in which this project makes a file that must not be
// lost: a backup, and the L402 token. What it promises is tried in package
// powercut, on a file system that is cut off at every point (package crash).
package durable
