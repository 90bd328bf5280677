package chainscan

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// errWrongBlock says that bytes are not the block that was asked for.
var errWrongBlock = errors.New("not the block that was asked for")

// verifier checks that bytes are the block with a given hash. It belongs to one
// goroutine.
type verifier struct {
	walker walker
	hasher *txHasher
	ids    []chainhash.Hash
}

// newVerifier returns a verifier.
func newVerifier() *verifier {
	return &verifier{
		hasher: newTxHasher(),
	}
}

// verify checks a serialised block against its hash: the header must have the
// hash, and the transactions the header's merkle root. Witnesses are not part
// of that root.
func (v *verifier) verify(block []byte, hash chainhash.Hash) error {
	if len(block) > MaxBlockSize {
		return fmt.Errorf("%w: %d bytes", errWrongBlock, len(block))
	}
	if len(block) < headerSize ||
		chainhash.DoubleHashH(block[:headerSize]) != hash {

		return fmt.Errorf("%w: header", errWrongBlock)
	}

	v.ids = v.ids[:0]
	err := v.walker.each(block, func(tx *rawTx) {
		v.ids = append(v.ids, chainhash.Hash{})
		v.hasher.id(tx, &v.ids[len(v.ids)-1])
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errWrongBlock, err)
	}

	root, ok := merkleRoot(v.ids)
	if !ok || root != headerMerkleRoot(block) {
		return fmt.Errorf("%w: merkle root", errWrongBlock)
	}

	return nil
}

// merkleRoot reduces a list of transaction hashes, which it overwrites, to
// their merkle root. It returns false for a list that ends in a repetition and
// therefore has the root of a shorter one (CVE-2012-2459).
func merkleRoot(ids []chainhash.Hash) (chainhash.Hash, bool) {
	var pair [2 * chainhash.HashSize]byte

	for len(ids) > 1 {
		half := (len(ids) + 1) / 2
		for i := range half {
			left, right := ids[2*i], ids[2*i]
			if 2*i+1 < len(ids) {
				right = ids[2*i+1]
				if left == right {
					return chainhash.Hash{}, false
				}
			}

			copy(pair[:], left[:])
			copy(pair[chainhash.HashSize:], right[:])
			ids[i] = chainhash.DoubleHashH(pair[:])
		}
		ids = ids[:half]
	}

	return ids[0], true
}

// headerPrevious returns the hash of the block before, from a header.
func headerPrevious(block []byte) chainhash.Hash {
	return chainhash.Hash(block[4:36])
}

// headerMerkleRoot returns the merkle root, from a header.
func headerMerkleRoot(block []byte) chainhash.Hash {
	return chainhash.Hash(block[36:68])
}

// headerTime returns the time, in unix seconds, from a header.
func headerTime(block []byte) int64 {
	return int64(binary.LittleEndian.Uint32(block[68:72]))
}
