// Package chainkit reads the chain through lnd's ChainKit service, which every
// lnd has: it is the default source of a scan. It takes the blocks' bytes as
// they come, since decoding them costs more than scanning them.
package chainkit
