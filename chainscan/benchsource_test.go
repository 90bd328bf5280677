package chainscan

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// benchTx returns a transaction like those of mainnet.
func benchTx(rng *rand.Rand) *wire.MsgTx {
	random := func(size int) []byte {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}

		return b
	}

	tx := wire.NewMsgTx(2)
	for range 1 + rng.IntN(4) {
		in := &wire.TxIn{Sequence: ^uint32(1)}
		copy(in.PreviousOutPoint.Hash[:], random(32))
		in.PreviousOutPoint.Index = rng.Uint32N(4)
		switch rng.IntN(10) {
		case 0:
			in.SignatureScript = random(107)
		case 1, 2, 3:
			in.Witness = wire.TxWitness{random(64)}
		case 4:
			in.Witness = wire.TxWitness{
				random(64), random(rng.IntN(1_000)), random(33),
			}
		default:
			in.Witness = wire.TxWitness{random(72), random(33)}
		}
		tx.AddTxIn(in)
	}
	for range 1 + rng.IntN(4) {
		script := append([]byte{0x00, 0x14}, random(20)...)
		switch rng.IntN(10) {
		case 0:
			script = append([]byte{0x6a, 0x20}, random(32)...)
		case 1, 2, 3, 4:
			script = append([]byte{0x51, 0x20}, random(32)...)
		}
		tx.AddTxOut(wire.NewTxOut(rng.Int64N(1e8), script))
	}

	return tx
}

// benchBlock returns a block of about the given number of bytes.
func benchBlock(size int) *simBlock {
	rng := rand.New(rand.NewPCG(21, 42))
	var txs []*wire.MsgTx
	for size > 0 {
		tx := benchTx(rng)
		txs = append(txs, tx)
		size -= tx.SerializeSize()
	}

	return simBranch{}.extend(txs, 0)[0]
}

// longSource is a chain of many blocks that are made when asked for: all of the
// same transactions, but for the coinbase.
type longSource struct {
	template []byte
	branch   []chainhash.Hash
	merkle   []chainhash.Hash
	previous map[chainhash.Hash]int32
	lockAt   int
}

// newLongSource returns a chain of blocks of about the given size.
func newLongSource(blocks, size int) *longSource {
	blk := benchBlock(size)
	s := &longSource{
		template: blk.raw,
		previous: make(map[chainhash.Hash]int32),
	}

	// The coinbase's lock time tells the blocks apart; the rest of the
	// merkle tree stays.
	s.lockAt = headerSize + varIntSize(len(blk.msg.Transactions)) +
		blk.msg.Transactions[0].SerializeSize() - 4
	path := merklePath(blk.msg)
	coinbase := *blk.msg.Transactions[0]

	var previous chainhash.Hash
	for height := range blocks {
		coinbase.LockTime = uint32(height)
		root := coinbase.TxHash()
		for _, sibling := range path {
			root = chainhash.DoubleHashH(
				append(root[:], sibling[:]...),
			)
		}
		s.merkle = append(s.merkle, root)

		header := s.header(int32(height), previous)
		previous = chainhash.DoubleHashH(header)
		s.branch = append(s.branch, previous)
		s.previous[previous] = int32(height)
	}

	return s
}

// varIntSize returns the size of a count in a block.
func varIntSize(n int) int {
	return wire.VarIntSerializeSize(uint64(n))
}

// merklePath returns the siblings of the coinbase, from the leaves up.
func merklePath(msg *wire.MsgBlock) []chainhash.Hash {
	var ids, path []chainhash.Hash
	for _, tx := range msg.Transactions {
		ids = append(ids, tx.TxHash())
	}
	for len(ids) > 1 {
		path = append(path, ids[1])
		var next []chainhash.Hash
		for i := 0; i < len(ids); i += 2 {
			right := ids[min(i+1, len(ids)-1)]
			next = append(next, chainhash.DoubleHashH(
				append(bytes.Clone(ids[i][:]), right[:]...),
			))
		}
		ids = next
	}

	return path
}

// header returns the header of a height.
func (s *longSource) header(height int32, previous chainhash.Hash) []byte {
	header := bytes.Clone(s.template[:headerSize])
	copy(header[4:], previous[:])
	copy(header[36:], s.merkle[height][:])

	return header
}

// Name names the source.
func (s *longSource) Name() string { return "long" }

// BestBlock returns the tip.
func (s *longSource) BestBlock(context.Context) (BlockStamp, error) {
	last := len(s.branch) - 1

	return BlockStamp{Height: int32(last), Hash: s.branch[last]}, nil
}

// BlockHash returns the hash of a height.
func (s *longSource) BlockHash(_ context.Context, height int32) (
	chainhash.Hash, error) {

	return s.branch[height], nil
}

// Block makes a block.
func (s *longSource) Block(_ context.Context, hash chainhash.Hash) ([]byte,
	error) {

	height, ok := s.previous[hash]
	if !ok {
		return nil, errors.New("no such block")
	}

	var previous chainhash.Hash
	if height > 0 {
		previous = s.branch[height-1]
	}
	raw := bytes.Clone(s.template)
	copy(raw, s.header(height, previous))
	binary.LittleEndian.PutUint32(raw[s.lockAt:], uint32(height))

	return raw, nil
}
