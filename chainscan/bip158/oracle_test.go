package bip158

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/aead/siphash"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/stretchr/testify/require"
)

// bitReader reads bits one by one.
type bitReader struct {
	data []byte
	at   int
}

// bit returns the next bit, and false behind the last.
func (r *bitReader) bit() (uint64, bool) {
	if r.at >= 8*len(r.data) {
		return 0, false
	}
	bit := r.data[r.at/8] >> (7 - r.at%8) & 1
	r.at++

	return uint64(bit), true
}

// element returns the next difference.
func (r *bitReader) element() (uint64, bool) {
	var quotient uint64
	for {
		bit, ok := r.bit()
		if !ok {
			return 0, false
		}
		if bit == 0 {
			break
		}
		quotient++
	}

	value := quotient
	for range remainderBits {
		bit, ok := r.bit()
		if !ok {
			return 0, false
		}
		value = value<<1 | bit
	}

	return value, true
}

// decode reads a filter as slowly as BIP 158 describes it. It returns false if
// it is not one.
func decode(data []byte) (bool, []uint64) {
	reader := bytes.NewReader(data)
	count, err := wire.ReadVarInt(reader, 0)
	if err != nil || count > uint64(8*len(data)) ||
		len(data) > MaxFilterSize {

		return false, nil
	}

	var (
		r       = &bitReader{data: data[len(data)-reader.Len():]}
		number  uint64
		numbers []uint64
	)
	for range count {
		difference, ok := r.element()
		if !ok {
			return false, nil
		}
		number += difference
		if number >= count*inverseRate {
			return false, nil
		}
		numbers = append(numbers, number)
	}

	return 8*len(r.data)-r.at < 8, numbers
}

// numberOf returns a script's number in a filter of so many elements.
func numberOf(block *chainhash.Hash, script []byte, count int) uint64 {
	key := [16]byte(block[:16])
	number, _ := bits.Mul64(
		siphash.Sum64(script, &key), uint64(count)*inverseRate,
	)

	return number
}

// anyOf tells whether a filter of some numbers has one of some scripts.
func anyOf(block *chainhash.Hash, scripts [][ScriptSize]byte,
	numbers []uint64) bool {

	wanted := make(map[uint64]bool)
	for i := range scripts {
		wanted[numberOf(block, scripts[i][:], len(numbers))] = true
	}
	for _, number := range numbers {
		if wanted[number] {
			return true
		}
	}

	return false
}

// encode writes a filter.
func encode(numbers []uint64) []byte {
	var (
		code     []byte
		at       int
		previous uint64
	)
	write := func(bit uint64) {
		if at%8 == 0 {
			code = append(code, 0)
		}
		code[at/8] |= byte(bit) << (7 - at%8)
		at++
	}
	for _, number := range numbers {
		difference := number - previous
		previous = number
		for range difference >> remainderBits {
			write(1)
		}
		write(0)
		for i := remainderBits - 1; i >= 0; i-- {
			write(difference >> i & 1)
		}
	}

	return append(appendCount(nil, len(numbers)), code...)
}

// gapped returns the numbers of a filter that has a gap of so many quotients
// somewhere.
func gapped(rng *rand.Rand, quotients int) []uint64 {
	const count = 400
	var (
		numbers []uint64
		number  uint64
		gapAt   = rng.IntN(count)
	)
	for i := range count {
		number += rng.Uint64N(inverseRate / 2)
		if i == gapAt {
			number += uint64(quotients) << remainderBits
		}
		numbers = append(numbers, number)
	}

	return numbers
}

// TestOracle: the slow decoder and the writer of the tests agree with btcutil.
func TestOracle(t *testing.T) {
	t.Parallel()

	rng := rand.New(rand.NewPCG(6, 6))
	for range 50 {
		f := newTestFilter(t, rng, sizeOf(rng, 2_000))
		ok, numbers := decode(f.Data)
		require.True(t, ok)
		require.Equal(t, f.Data, encode(numbers))
	}
}
