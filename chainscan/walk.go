package chainscan

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

const (
	// headerSize is the size of a serialised block header, in bytes.
	headerSize = 80

	// outPointSize is the size of a serialised outpoint: the transaction's
	// hash and a little-endian index.
	outPointSize = chainhash.HashSize + 4

	// minInputSize is the size of an input with an empty script.
	minInputSize = outPointSize + 1 + 4

	// minOutputSize is the size of an output with an empty script.
	minOutputSize = 8 + 1

	// minTxSize is the size of a transaction with one input and one output
	// that have empty scripts.
	minTxSize = 4 + 1 + minInputSize + 1 + minOutputSize + 4

	// taprootScriptSize is the size of an output script of version 1 with
	// a 32-byte program (BIP 341): OP_1, a push of 32 bytes, the key.
	taprootScriptSize = 34

	// opTaproot0 and opTaproot1 are the first two bytes of such a script.
	opTaproot0, opTaproot1 = 0x51, 0x20

	// maxVarInt is the largest compact size that needs one byte.
	maxVarInt = 0xfc
)

// errMalformed says that bytes are not a serialised block.
var errMalformed = errors.New("malformed block")

// rawTx is a transaction within the bytes of a block, by offsets.
type rawTx struct {
	// block are the bytes of the whole block.
	block []byte

	// start and end bound the transaction with its witness.
	start, end int

	// bodyStart and bodyEnd bound the inputs and the outputs, from the
	// input count on.
	bodyStart, bodyEnd int
}

// bytes returns a copy of the serialised transaction with its witness.
func (t *rawTx) bytes() []byte {
	return append([]byte(nil), t.block[t.start:t.end]...)
}

// txHasher computes transaction hashes without allocating.
type txHasher struct {
	inner hash.Hash
	first [sha256.Size]byte
}

// newTxHasher returns a hasher for one goroutine.
func newTxHasher() *txHasher {
	return &txHasher{
		inner: sha256.New(),
	}
}

// id stores the hash of the transaction without its witness.
func (h *txHasher) id(tx *rawTx, id *chainhash.Hash) {
	b := tx.block

	h.inner.Reset()
	h.inner.Write(b[tx.start : tx.start+4])
	h.inner.Write(b[tx.bodyStart:tx.bodyEnd])
	h.inner.Write(b[tx.end-4 : tx.end])
	h.inner.Sum(h.first[:0])

	*id = sha256.Sum256(h.first[:])
}

// txMatch is an input or an output of one transaction that concerns the scan.
type txMatch struct {
	// output tells an output from an input.
	output bool

	// index is the index of the input or output.
	index uint32

	// offset is where in the block the outpoint, or the amount, begins.
	offset int
}

// walker finds, in the bytes of a block, outputs that pay known keys and inputs
// that spend known outpoints. It allocates nothing unless there is a match. It
// belongs to one goroutine.
type walker struct {
	// keys are the known taproot output keys; nil for none.
	keys *keySet

	// spends are the known outpoints; nil for none.
	spends *outPointSet

	// record, if set, takes a fingerprint of every taproot output and of
	// every input.
	record *fingerprints

	// matches are those of the current transaction.
	matches []txMatch

	// tx is the current transaction.
	tx rawTx
}

// walk reads a whole block and calls found after each transaction that has
// matches; these are in w.matches until it returns. What found adds to the sets
// counts from the next transaction on. Bytes that are not exactly one block are
// refused.
func (w *walker) walk(block []byte, found func(tx *rawTx)) error {
	return w.each(block, func(tx *rawTx) {
		if len(w.matches) > 0 {
			found(tx)
		}
	})
}

// each reads a whole block and calls visit after each transaction.
func (w *walker) each(block []byte, visit func(tx *rawTx)) error {
	if len(block) > MaxBlockSize || len(block) < headerSize+1 {
		return errMalformed
	}

	count, p := varInt(block, headerSize)
	if p < 0 || count == 0 || count > (len(block)-p)/minTxSize {
		return errMalformed
	}

	w.tx.block = block
	for range count {
		w.matches = w.matches[:0]

		p = w.readTx(block, p)
		if p < 0 {
			return errMalformed
		}

		visit(&w.tx)
	}

	if p != len(block) {
		return errMalformed
	}

	return nil
}

// readTx reads the transaction at an offset and returns the offset behind it,
// or a negative number if it is malformed.
func (w *walker) readTx(b []byte, p int) int {
	if len(b)-p < minTxSize {
		return -1
	}

	w.tx.start = p
	p += 4

	// A transaction with a witness has a marker, zero, where the input
	// count would be, and a flag (BIP 144).
	segwit := b[p] == 0
	if segwit {
		if b[p+1] != 1 {
			return -1
		}
		p += 2
	}

	w.tx.bodyStart = p
	inputs, p := varInt(b, p)
	if p < 0 || inputs == 0 || inputs > (len(b)-p)/minInputSize {
		return -1
	}
	if p = w.readInputs(b, p, inputs); p < 0 {
		return -1
	}

	outputs, p := varInt(b, p)
	if p < 0 || outputs > (len(b)-p)/minOutputSize {
		return -1
	}
	if p = w.readOutputs(b, p, outputs); p < 0 {
		return -1
	}

	w.tx.bodyEnd = p
	if segwit {
		if p = skipWitness(b, p, inputs); p < 0 {
			return -1
		}
	}

	// The lock time.
	if len(b)-p < 4 {
		return -1
	}
	w.tx.end = p + 4

	return w.tx.end
}

// readInputs reads the inputs at an offset and returns the offset behind them,
// or a negative number if they are malformed.
func (w *walker) readInputs(b []byte, p, count int) int {
	for i := range count {
		if len(b)-p < minInputSize {
			return -1
		}

		word := binary.LittleEndian.Uint32(b[p:])
		if w.spends != nil && w.spends.maybe(word) &&
			w.spends.has(b[p:p+outPointSize]) {

			w.matches = append(w.matches, txMatch{
				index: uint32(i), offset: p,
			})
		}
		if w.record != nil {
			w.record.addInput(b[p : p+outPointSize])
		}

		size, next := varInt(b, p+outPointSize)
		if next < 0 || len(b)-next < size+4 {
			return -1
		}
		p = next + size + 4
	}

	return p
}

// readOutputs reads the outputs at an offset and returns the offset behind
// them, or a negative number if they are malformed.
func (w *walker) readOutputs(b []byte, p, count int) int {
	for i := range count {
		if len(b)-p < minOutputSize {
			return -1
		}

		size, next := varInt(b, p+8)
		if next < 0 || len(b)-next < size {
			return -1
		}

		if size == taprootScriptSize && b[next] == opTaproot0 &&
			b[next+1] == opTaproot1 {

			w.taproot(b, p, next+2, i)
		}
		p = next + size
	}

	return p
}

// taproot looks at a taproot output whose amount lies at an offset and whose
// key lies at another.
func (w *walker) taproot(b []byte, offset, key, index int) {
	word := binary.LittleEndian.Uint32(b[key:])
	if w.keys != nil && w.keys.maybe(word) &&
		w.keys.has(b[key:key+keySize]) {

		w.matches = append(w.matches, txMatch{
			output: true, index: uint32(index), offset: offset,
		})
	}
	if w.record != nil {
		w.record.addKey(b[key : key+keySize])
	}
}

// skipWitness returns the offset behind the witnesses of a number of inputs, or
// a negative number if they are malformed.
func skipWitness(b []byte, p, inputs int) int {
	for range inputs {
		items, next := varInt(b, p)
		if next < 0 || items > len(b)-next {
			return -1
		}

		p = next
		for range items {
			size, next := varInt(b, p)
			if next < 0 || size > len(b)-next {
				return -1
			}
			p = next + size
		}
	}

	return p
}

// varInt reads a compact size at an offset and returns it and the offset behind
// it; the offset is negative if the number is cut short, not in its shortest
// form or larger than any block.
func varInt(b []byte, p int) (int, int) {
	if p < len(b) && b[p] <= maxVarInt {
		return int(b[p]), p + 1
	}

	return longVarInt(b, p)
}

// longVarInt reads a compact size of three or more bytes. See varInt.
func longVarInt(b []byte, p int) (int, int) {
	rest := len(b) - p
	if rest < 3 {
		return 0, -1
	}

	switch {
	case b[p] == 0xfd:
		n := int(binary.LittleEndian.Uint16(b[p+1:]))
		if n <= maxVarInt {
			return 0, -1
		}

		return n, p + 3

	// Nothing in a block is longer than the block, so the form of nine
	// bytes cannot be needed.
	case b[p] == 0xfe && rest >= 5:
		n := binary.LittleEndian.Uint32(b[p+1:])
		if n <= 0xffff || n > MaxBlockSize {
			return 0, -1
		}

		return int(n), p + 5
	}

	return 0, -1
}

// readOutPoint decodes a serialised outpoint.
func readOutPoint(b []byte) wire.OutPoint {
	var outPoint wire.OutPoint
	copy(outPoint.Hash[:], b)
	outPoint.Index = binary.LittleEndian.Uint32(b[chainhash.HashSize:])

	return outPoint
}
