package bip158

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

const (
	// remainderBits is P of BIP 158: the number of bits of a remainder.
	remainderBits = 19

	// inverseRate is M of BIP 158: a number is below N*M, so that one in
	// M of them is that of another script.
	inverseRate = 784931

	// minElement is the size of the shortest element, in bits: a quotient
	// of zero and the remainder.
	minElement = 1 + remainderBits

	// loadBytes is how much of a filter is read at once, and loadBits how
	// many bits of it are there wherever in its first byte one begins.
	loadBytes = 8
	loadBits  = 8*loadBytes - 7

	// MaxFilterSize is the largest serialised filter that is accepted, in
	// bytes. No block of four million weight units pays and spends more
	// scripts than fit in half of it.
	MaxFilterSize = 4_000_000
)

// ErrMalformed is wrapped by errors about bytes that are not a filter.
var ErrMalformed = errors.New("malformed compact filter")

// readCount returns the number of elements of a serialised filter, and the
// Golomb-Rice code behind it.
func readCount(data []byte) (int, []byte, error) {
	if len(data) == 0 || len(data) > MaxFilterSize {
		return 0, nil, fmt.Errorf("%w: %d bytes", ErrMalformed,
			len(data))
	}

	var count, size int
	switch first := data[0]; {
	case first < 0xfd:
		count, size = int(first), 1

	case first == 0xfd && len(data) >= 3:
		count, size = int(binary.LittleEndian.Uint16(data[1:])), 3

	// A filter of MaxFilterSize holds less elements than a count of nine
	// bytes says.
	case first == 0xfe && len(data) >= 5:
		count, size = int(binary.LittleEndian.Uint32(data[1:])), 5

	default:
		return 0, nil, fmt.Errorf("%w: its count", ErrMalformed)
	}

	code := data[size:]
	if size != countSize(count) || count > 8*len(code)/minElement ||
		count == 0 && len(code) > 0 {

		return 0, nil, fmt.Errorf("%w: %d elements in %d bytes",
			ErrMalformed, count, len(code))
	}

	return count, code, nil
}

// countSize returns the size of a count in its shortest form, in bytes.
func countSize(count int) int {
	switch {
	case count < 0xfd:
		return 1
	case count <= 0xffff:
		return 3
	}

	return 5
}

// readElement reads the element that begins at a bit of a code and returns the
// difference that it stands for and the bit behind it. The code is followed by
// loadBytes of zeros. It works for any quotient, and returns false if the
// element goes beyond the end, which is given in bits.
func readElement(code []byte, at, end int) (uint64, int, bool) {
	var quotient uint64
	for {
		if at+minElement > end {
			return 0, 0, false
		}
		ones := bits.LeadingZeros64(^load(code, at))
		if ones < loadBits {
			quotient += uint64(ones)
			at += ones + 1

			break
		}
		quotient += loadBits
		at += loadBits
	}
	if at+remainderBits > end {
		return 0, 0, false
	}
	remainder := load(code, at) >> (64 - remainderBits)

	return quotient<<remainderBits | remainder, at + remainderBits, true
}

// load returns the bits of a code from one on, the first of them highest. The
// lowest seven need not be of the code.
func load(code []byte, at int) uint64 {
	return binary.BigEndian.Uint64(code[at>>3:]) << (at & 7)
}

// AddCount returns a filter of which only the Golomb-Rice code is known, as
// some interfaces give it, with the number of its elements before it. That
// number is certain: an element has 20 bits at least, and what fills up the
// last byte seven at most.
func AddCount(code []byte) ([]byte, error) {
	if len(code) > MaxFilterSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(code))
	}

	padded := make([]byte, len(code)+loadBytes)
	copy(padded, code)
	count, at, end := 0, 0, 8*len(code)
	for end-at >= 8 {
		_, next, ok := readElement(padded, at, end)
		if !ok {
			return nil, fmt.Errorf("%w: it ends in element %d",
				ErrMalformed, count)
		}
		count, at = count+1, next
	}

	return append(appendCount(nil, count), code...), nil
}

// appendCount appends a count in its shortest form.
func appendCount(b []byte, count int) []byte {
	switch countSize(count) {
	case 1:
		return append(b, byte(count))
	case 3:
		b = append(b, 0xfd)

		return binary.LittleEndian.AppendUint16(b, uint16(count))
	}

	return binary.LittleEndian.AppendUint32(append(b, 0xfe), uint32(count))
}
