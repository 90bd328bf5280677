// Command loopd is a drop-in replacement of upstream's daemon of the same name,
// with the backup and recovery of static addresses.
package main
