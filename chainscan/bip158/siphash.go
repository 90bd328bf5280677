package bip158

import (
	"encoding/binary"
	"math/bits"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

const (
	// ScriptSize is the size of a script, in bytes: that of a taproot
	// output.
	ScriptSize = 34

	// scriptWords is the number of words that SipHash reads of a script:
	// four whole ones, and one of the last two bytes and the length.
	scriptWords = ScriptSize/8 + 1
)

// script is a script as SipHash reads it.
type script [scriptWords]uint64

// newScript converts a script.
func newScript(b *[ScriptSize]byte) script {
	var s script
	for i := range scriptWords - 1 {
		s[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	s[scriptWords-1] = ScriptSize<<56 |
		uint64(binary.LittleEndian.Uint16(b[ScriptSize-2:]))

	return s
}

// sipKey is the key of one block's filter.
type sipKey struct {
	k0, k1 uint64
}

// newSipKey returns the key of a block: the first 16 bytes of its hash.
func newSipKey(block *chainhash.Hash) sipKey {
	return sipKey{
		k0: binary.LittleEndian.Uint64(block[0:]),
		k1: binary.LittleEndian.Uint64(block[8:]),
	}
}

// hash2 returns the SipHash-2-4 of two scripts. The two take turns, so that
// neither waits for itself.
func (k sipKey) hash2(x, y *script) (uint64, uint64) {
	a, b := k.k0^0x736f6d6570736575, k.k1^0x646f72616e646f6d
	c, d := k.k0^0x6c7967656e657261, k.k1^0x7465646279746573
	e, f, g, h := a, b, c, d

	for i := range scriptWords {
		d, h = d^x[i], h^y[i]
		a, b, c, d = mix(a, b, c, d, 13, 16)
		e, f, g, h = mix(e, f, g, h, 13, 16)
		c, b, a, d = mix(c, b, a, d, 17, 21)
		g, f, e, h = mix(g, f, e, h, 17, 21)
		a, b, c, d = mix(a, b, c, d, 13, 16)
		e, f, g, h = mix(e, f, g, h, 13, 16)
		c, b, a, d = mix(c, b, a, d, 17, 21)
		g, f, e, h = mix(g, f, e, h, 17, 21)
		a, e = a^x[i], e^y[i]
	}

	c, g = c^0xff, g^0xff
	for range 2 {
		a, b, c, d = mix(a, b, c, d, 13, 16)
		e, f, g, h = mix(e, f, g, h, 13, 16)
		c, b, a, d = mix(c, b, a, d, 17, 21)
		g, f, e, h = mix(g, f, e, h, 17, 21)
		a, b, c, d = mix(a, b, c, d, 13, 16)
		e, f, g, h = mix(e, f, g, h, 13, 16)
		c, b, a, d = mix(c, b, a, d, 17, 21)
		g, f, e, h = mix(g, f, e, h, 17, 21)
	}

	return a ^ b ^ c ^ d, e ^ f ^ g ^ h
}

// mix is half a SipRound; the other half is the same with the first and third
// word exchanged and other rotations.
func mix(a, b, c, d uint64, rotB, rotD int) (uint64, uint64, uint64, uint64) {
	a += b
	c += d
	b = bits.RotateLeft64(b, rotB) ^ a
	d = bits.RotateLeft64(d, rotD) ^ c

	return bits.RotateLeft64(a, 32), b, c, d
}
