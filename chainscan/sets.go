package chainscan

import (
	"encoding/binary"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

const (
	// keySize is the size of a taproot output key, in bytes.
	keySize = 32

	// sieveBits is the base-2 logarithm of the number of bits of a sieve:
	// 16 KiB, which stay in the processor's first cache.
	sieveBits = 17
)

// sieve answers most "is it in the set?" with no after one load: one bit for
// each value of the first bits of a hash or key. These are uniform.
type sieve [1 << sieveBits / 64]uint64

// add adds the first word of an element.
func (s *sieve) add(word uint32) {
	bit := word >> (32 - sieveBits)
	s[bit/64] |= 1 << (bit % 64)
}

// maybe returns false if no element with this first word was added.
func (s *sieve) maybe(word uint32) bool {
	bit := word >> (32 - sieveBits)

	return s[bit/64]&(1<<(bit%64)) != 0
}

// keySet is the set of taproot output keys that a walk looks for.
type keySet struct {
	sieve
	scripts map[[keySize]byte]ScriptID
}

// newKeySet returns an empty set.
func newKeySet() *keySet {
	return &keySet{
		scripts: make(map[[keySize]byte]ScriptID),
	}
}

// add adds a key.
func (s *keySet) add(key [keySize]byte, script ScriptID) {
	s.sieve.add(binary.LittleEndian.Uint32(key[:]))
	s.scripts[key] = script
}

// has tells whether a key is in the set.
func (s *keySet) has(key []byte) bool {
	_, ok := s.scripts[[keySize]byte(key)]

	return ok
}

// outPointSet is the set of unspent outpoints that a walk looks for.
type outPointSet struct {
	sieve
	points map[[outPointSize]byte]struct{}
}

// newOutPointSet returns an empty set.
func newOutPointSet() *outPointSet {
	return &outPointSet{
		points: make(map[[outPointSize]byte]struct{}),
	}
}

// add adds an outpoint.
func (s *outPointSet) add(outPoint wire.OutPoint) {
	s.sieve.add(binary.LittleEndian.Uint32(outPoint.Hash[:]))
	s.points[serializeOutPoint(outPoint)] = struct{}{}
}

// remove removes an outpoint. Its bit in the sieve stays: that costs time only.
func (s *outPointSet) remove(outPoint wire.OutPoint) {
	delete(s.points, serializeOutPoint(outPoint))
}

// has tells whether a serialised outpoint is in the set.
func (s *outPointSet) has(outPoint []byte) bool {
	_, ok := s.points[[outPointSize]byte(outPoint)]

	return ok
}

// serializeOutPoint returns an outpoint as it stands in an input.
func serializeOutPoint(outPoint wire.OutPoint) [outPointSize]byte {
	var b [outPointSize]byte
	copy(b[:], outPoint.Hash[:])
	binary.LittleEndian.PutUint32(b[chainhash.HashSize:], outPoint.Index)

	return b
}
