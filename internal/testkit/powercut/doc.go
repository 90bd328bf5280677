// Package powercut tries what this project promises of its files: that nothing
// which parses as a token or a backup is ever overwritten or deleted, and that
// a file under its final name is complete after any crash or power cut.
//
// Everything that writes such a file runs on a file system that is cut off
// after every change, in every state in which the disk can be found then
// (package crash), is started again from each of those states, and is cut off
// again. The same search runs over sequences that are known to be unsafe, and
// must find a violation in each: a search that cannot fail shows nothing.
package powercut
