// Package tools pins, in a module of its own, the programs that check and
// generate this repository's code. `make tools` builds all of them, and
// nothing else, into bin/tools.
package tools
