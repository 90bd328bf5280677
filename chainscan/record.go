package chainscan

import (
	"encoding/binary"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// fingerprints are those of one block: four bytes for each taproot output key
// and four for each input.
type fingerprints struct {
	keys, inputs []uint32
}

// reset empties the lists.
func (f *fingerprints) reset() {
	f.keys, f.inputs = f.keys[:0], f.inputs[:0]
}

// addKey adds a taproot output key.
func (f *fingerprints) addKey(key []byte) {
	f.keys = append(f.keys, keyPrint(key))
}

// addInput adds a serialised outpoint.
func (f *fingerprints) addInput(outPoint []byte) {
	f.inputs = append(f.inputs, inputPrint(outPoint))
}

// keyPrint returns the fingerprint of a taproot output key.
func keyPrint(key []byte) uint32 {
	return binary.LittleEndian.Uint32(key)
}

// inputPrint returns the fingerprint of a serialised outpoint.
func inputPrint(outPoint []byte) uint32 {
	return binary.LittleEndian.Uint32(outPoint) ^
		binary.LittleEndian.Uint32(outPoint[chainhash.HashSize:])
}

// record is a memory of all blocks that a pass has walked since the birthday.
// With it, what becomes known late is tested against them without walking them
// again: only those blocks are fetched that can hold it.
type record interface {
	// start returns the height of the first block.
	start() int32

	// add appends a block. After an error the record is of no use.
	add(blk block, prints *fingerprints) error

	// truncate forgets all blocks above a height.
	truncate(height int32)

	// search returns all blocks that can hold what the query looks for, by
	// height. After an error the record is of no use.
	search(q *query) ([]BlockStamp, error)

	// close ends the use of the record.
	close()
}

// printRecord is a record of the fingerprints of whole blocks: four bytes for
// each taproot output and each input.
type printRecord struct {
	// budget is the largest number of bytes that the record may hold, and
	// segment the number of fingerprints of one segment.
	budget, segment int

	// first is the height of the first block.
	first int32

	// blocks are the blocks by height.
	blocks []recordedBlock

	// prints are the fingerprints of all blocks, one behind the other: the
	// keys and then the inputs of each block, which lie in one segment.
	// Segments are bounded, so that growth copies little.
	prints [][]uint32
}

// recordedBlock is one block of a record.
type recordedBlock struct {
	// hash is the block's hash.
	hash chainhash.Hash

	// segment and offset say where its fingerprints begin.
	segment, offset int

	// keys and inputs are the numbers of its fingerprints.
	keys, inputs int
}

const (
	// recordSegment is the size of a segment, in fingerprints.
	recordSegment = 1 << 18

	// recordBlockSize is what a block costs beside its fingerprints, in
	// bytes, rounded up.
	recordBlockSize = 64
)

// newPrintRecord returns an empty record.
func newPrintRecord(first int32, tuning *tuning) *printRecord {
	return &printRecord{
		budget:  tuning.recordBudget,
		segment: tuning.recordSegment,
		first:   first,
	}
}

// start returns the height of the first block.
func (r *printRecord) start() int32 {
	return r.first
}

// close has nothing to do.
func (r *printRecord) close() {}

// add appends a block. It fails if the block itself is not known, or if the
// budget is exceeded.
func (r *printRecord) add(blk block, prints *fingerprints) error {
	if blk.ruledOut() {
		return errNotRecorded
	}

	count := len(prints.keys) + len(prints.inputs)
	last := len(r.prints) - 1
	if last < 0 || len(r.prints[last])+count > r.segment {
		r.prints = append(r.prints, nil)
		last++
	}

	segment := r.prints[last]
	r.blocks = append(r.blocks, recordedBlock{
		hash:    blk.Hash,
		segment: last,
		offset:  len(segment),
		keys:    len(prints.keys),
		inputs:  len(prints.inputs),
	})

	segment = append(segment, prints.keys...)
	r.prints[last] = append(segment, prints.inputs...)

	if r.size() > r.budget {
		return errRecordFull
	}

	return nil
}

// size returns the memory that the record takes, in bytes.
func (r *printRecord) size() int {
	size := cap(r.blocks) * recordBlockSize
	for _, segment := range r.prints {
		size += cap(segment) * 4
	}

	return size
}

// truncate forgets all blocks above a height.
func (r *printRecord) truncate(height int32) {
	keep := max(int(height-r.first)+1, 0)
	if keep >= len(r.blocks) {
		return
	}

	cut := r.blocks[keep]
	r.prints = r.prints[:cut.segment+1]
	r.prints[cut.segment] = r.prints[cut.segment][:cut.offset]
	r.blocks = r.blocks[:keep]
}

// query is what a search of a record looks for.
type query struct {
	// scripts are the scripts; keys and inputs the fingerprints of their
	// keys and of outpoints.
	scripts [][taprootScriptSize]byte

	keys   map[uint32]struct{}
	inputs map[uint32]struct{}
}

// newQuery returns the query for keys and outpoints.
func newQuery(keys [][keySize]byte, outPoints []wire.OutPoint) *query {
	q := &query{
		keys:   make(map[uint32]struct{}, len(keys)),
		inputs: make(map[uint32]struct{}, len(outPoints)),
	}
	for _, key := range keys {
		q.keys[keyPrint(key[:])] = struct{}{}
		q.scripts = append(q.scripts, taprootScript(key))
	}
	for _, outPoint := range outPoints {
		b := serializeOutPoint(outPoint)
		q.inputs[inputPrint(b[:])] = struct{}{}
	}

	return q
}

// search returns all blocks that can hold what the query looks for, by height.
func (r *printRecord) search(q *query) ([]BlockStamp, error) {
	var stamps []BlockStamp
	for i, block := range r.blocks {
		prints := r.prints[block.segment][block.offset:]
		keys := prints[:block.keys]
		inputs := prints[block.keys : block.keys+block.inputs]

		if containsAny(keys, q.keys) || containsAny(inputs, q.inputs) {
			stamps = append(stamps, BlockStamp{
				Height: r.first + int32(i),
				Hash:   block.hash,
			})
		}
	}

	return stamps, nil
}

// containsAny tells whether a fingerprint of the list is in the set.
func containsAny(prints []uint32, set map[uint32]struct{}) bool {
	if len(set) == 0 {
		return false
	}

	for _, print := range prints {
		if _, ok := set[print]; ok {
			return true
		}
	}

	return false
}
