package bip158

import "github.com/btcsuite/btcd/chaincfg/chainhash"

// Header returns the filter header (BIP 157) of a block: the double SHA-256 of
// the hash of its filter and the header of the block before it. The header
// before the first block is zero.
func Header(filter []byte, previous chainhash.Hash) chainhash.Hash {
	var pair [2 * chainhash.HashSize]byte
	hash := chainhash.DoubleHashH(filter)
	copy(pair[:], hash[:])
	copy(pair[chainhash.HashSize:], previous[:])

	return chainhash.DoubleHashH(pair[:])
}
