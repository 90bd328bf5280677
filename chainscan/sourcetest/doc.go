// Package sourcetest holds every source of blocks and filters to one contract:
// a suite that each passes, a chain in memory to run it on, and answers of
// nodes to run the clients on.
package sourcetest
