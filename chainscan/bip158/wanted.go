package bip158

import "math/bits"

const (
	// sieveDensity is the base-2 logarithm of the number of bits that a
	// sieve has for each number, at least, and minSieve that of the bits
	// that it has at all.
	sieveDensity, minSieve = 8, 14

	// noNumber ends a list.
	noNumber = -1
)

// wanted are the numbers that are looked for in one filter: those of all
// scripts under the block's key. Most questions are answered by the sieve, one
// bit for each value of a number's first bits, and the others by the lists of
// equal first bits.
//
// The sieve is no part of it: those of all filters that are read side by side
// lie in one slice.
type wanted struct {
	// numbers are the numbers, in the order of the scripts.
	numbers []uint64

	// first is the beginning of the list of each value of the first bits,
	// and next what follows each number in its list.
	first, next []int32

	// shift drops all but the bits that choose the list.
	shift uint
}

// sieveSize returns the base-2 logarithm of the size of a sieve, in bits, for
// a number of scripts.
func sieveSize(scripts int) int {
	return max(bits.Len(uint(scripts))+sieveDensity, minSieve)
}

// fill replaces the numbers by those of some scripts for a filter, and sets
// their bits in the sieve, in which a number's bit is what a shift leaves.
func (w *wanted) fill(scripts []script, key sipKey, elements int,
	sieve []uint64, shift uint) {

	bound := uint64(elements) * inverseRate
	w.numbers = w.numbers[:0]
	for i := 0; i < len(scripts); i += 2 {
		other := min(i+1, len(scripts)-1)
		x, y := key.hash2(&scripts[i], &scripts[other])
		x, _ = bits.Mul64(x, bound)
		y, _ = bits.Mul64(y, bound)
		w.numbers = append(w.numbers, x, y)
	}
	w.numbers = w.numbers[:len(scripts)]

	lists := bits.Len(uint(len(scripts)))
	w.shift = uint(max(bits.Len64(bound)-lists, 0))
	w.first = resize(w.first, 1<<lists)
	w.next = resize(w.next, len(scripts))
	for i := range w.first {
		w.first[i] = noNumber
	}
	clear(sieve)
	for i, number := range w.numbers {
		list := number >> w.shift
		w.next[i], w.first[list] = w.first[list], int32(i)

		bit := number >> shift
		sieve[bit>>6] |= 1 << (bit & 63)
	}
}

// has tells whether a number below the bound is wanted.
func (w *wanted) has(number uint64) bool {
	for i := w.first[number>>w.shift]; i != noNumber; i = w.next[i] {
		if w.numbers[i] == number {
			return true
		}
	}

	return false
}

// resize returns a slice of a length, which is the given one if it has room.
// Its elements are of no value.
func resize[T any](slice []T, length int) []T {
	if cap(slice) < length {
		return make([]T, length)
	}

	return slice[:length]
}
