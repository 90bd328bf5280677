package bip158

import (
	"encoding/binary"
	"math/bits"
)

const (
	// lanes is the number of filters that are read side by side.
	lanes = 4

	// runLength is the number of elements of each filter that are read in
	// one run.
	runLength = 256

	// fastOnes is above all quotients that are read side by side. One
	// element in 3,000 has a larger one.
	fastOnes = 12

	// windowSize is more than the elements of a run take, in bytes, and a
	// power of two. So much of a code can be read without looking at its
	// end, because as many zeros are behind it.
	windowSize = 2_048
)

// There is room in a window for the longest elements.
const _ = uint(windowSize*8 - runLength*(fastOnes+minElement))

// leadingOnes is the number of ones that a word begins with, by its first
// fastOnes bits. Looking it up is faster than counting them: that needs an
// instruction that not every processor a program is built for has.
var leadingOnes = func() (ones [1 << fastOnes]uint8) {
	for i := range ones {
		word := uint64(i) << (64 - fastOnes)
		ones[i] = uint8(bits.LeadingZeros64(^word))
	}

	return ones
}()

// window is a part of a code, and a load more.
type window [windowSize + loadBytes]byte

// lane is one filter that is being read.
type lane struct {
	// index is the filter's place, found that it has a wanted number, and
	// broken that it is not well formed.
	index         int
	found, broken bool

	// left is the number of elements that were not read yet, and number
	// the last one that was.
	left   int
	number uint64

	// at is the bit of Matcher.code where the next element begins, and end
	// the one where the code ends.
	at, end int

	// bound is above all numbers of the filter.
	bound uint64

	wanted wanted
}

// idle lets the lane have no filter.
func (l *lane) idle() {
	l.left, l.found, l.broken = 0, false, false
}

// breakOff ends the reading of a filter that is not well formed.
func (l *lane) breakOff() {
	l.left, l.broken = 0, true
}

// readTogether reads the filters of all lanes until the first of them has
// ended. The last element of each is read alone.
func (m *Matcher) readTogether() {
	for {
		count := runLength
		for i := range m.lanes {
			count = min(count, m.lanes[i].left-1)
		}
		read := m.readRun(count)

		ended := false
		for i := range m.lanes {
			l := &m.lanes[i]
			m.sift(i, read)
			l.left -= read
			if l.at > l.end {
				l.breakOff()
			} else if read < runLength {
				m.readOne(i)
			}
			ended = ended || l.left == 0
		}
		if ended {
			return
		}
	}
}

// readAlone reads the filters of the lanes to their ends, one after the other.
func (m *Matcher) readAlone() {
	for i := range m.lanes {
		for m.lanes[i].left > 0 {
			m.readOne(i)
		}
	}
}

// readOne reads the next element of a lane, whatever it is.
func (m *Matcher) readOne(i int) {
	l := &m.lanes[i]
	difference, next, ok := readElement(m.code, l.at, l.end)
	if !ok || l.number+difference >= l.bound {
		l.breakOff()

		return
	}

	l.number, l.at = l.number+difference, next
	l.left--
	l.test(l.number)
	if l.left == 0 && l.end-l.at >= 8 {
		l.breakOff()
	}
}

// test looks a number up.
func (l *lane) test(number uint64) {
	if number < l.bound && l.wanted.has(number) {
		l.found = true
	}
}

// readRun reads up to a number of elements of each lane, runLength at most, and
// returns how many. It ends before one whose quotient is not below fastOnes.
// The differences are then in m.run. Behind the end of a code it reads zeros.
func (m *Matcher) readRun(count int) int {
	a, b, c, d := m.window(0), m.window(1), m.window(2), m.window(3)
	startA, startB := m.lanes[0].at&7, m.lanes[1].at&7
	startC, startD := m.lanes[2].at&7, m.lanes[3].at&7
	atA, atB, atC, atD := startA, startB, startC, startD
	run, read := &m.run, 0

	for ; read < count; read++ {
		wordA, wordB := a.load(atA), b.load(atB)
		wordC, wordD := c.load(atC), d.load(atD)
		onesA, onesB := onesOf(wordA), onesOf(wordB)
		onesC, onesD := onesOf(wordC), onesOf(wordD)
		if onesA == fastOnes || onesB == fastOnes ||
			onesC == fastOnes || onesD == fastOnes {

			break
		}
		atA += onesA + minElement
		atB += onesB + minElement
		atC += onesC + minElement
		atD += onesD + minElement

		place := read & (runLength - 1)
		run[0][place] = difference(wordA, onesA)
		run[1][place] = difference(wordB, onesB)
		run[2][place] = difference(wordC, onesC)
		run[3][place] = difference(wordD, onesD)
	}

	m.lanes[0].at += atA - startA
	m.lanes[1].at += atB - startB
	m.lanes[2].at += atC - startC
	m.lanes[3].at += atD - startD

	return read
}

// window returns the part of a lane's code that begins with its next element.
func (m *Matcher) window(i int) *window {
	return (*window)(m.code[m.lanes[i].at>>3:])
}

// load returns the bits of a window from one on, like the function of the name.
func (w *window) load(at int) uint64 {
	start := at >> 3 & (windowSize - 1)

	return binary.BigEndian.Uint64(w[start:start+loadBytes]) << (at & 7)
}

// onesOf returns the number of ones that a word begins with, or fastOnes for
// that many and more.
func onesOf(word uint64) int {
	return int(leadingOnes[word>>(64-fastOnes)])
}

// difference returns what an element stands for, from the word that begins with
// it and the number of ones before its first zero.
func difference(word uint64, ones int) uint64 {
	remainder := word << (ones & 63) >> (64 - minElement)

	return uint64(ones)<<remainderBits + remainder
}

// sift adds the differences of a lane's run up and looks the numbers up. In a
// filter that is not well formed a number can leave its range, for which the
// index is masked. It is found out with the last element, because numbers only
// grow.
func (m *Matcher) sift(i, read int) {
	l, sieve, shift := &m.lanes[i], m.sieveOf(i), m.shift&63
	mask, number := uint64(len(sieve)-1), l.number

	for _, difference := range m.run[i][:read] {
		number += difference
		bit := number >> shift
		if sieve[bit>>6&mask]&(1<<(bit&63)) != 0 {
			l.test(number)
		}
	}
	l.number = number
}
