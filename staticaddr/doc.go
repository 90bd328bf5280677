// Package staticaddr derives static addresses: the descriptor that determines
// all addresses of a generation, the scripts of its key families, and child
// keys from an account's extended public key. It is pure: it performs no input
// or output and calls no lnd.
//
// The script itself is upstream's (github.com/lightninglabs/loop/staticaddr/
// script).
package staticaddr
