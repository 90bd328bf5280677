package bip158

import (
	"fmt"
	"math/bits"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// Filter is the basic filter of a block.
type Filter struct {
	// Block is the block's hash, which is the filter's key.
	Block chainhash.Hash

	// Data is the filter as it is sent and hashed: the number of elements
	// as a compact size, and the Golomb-Rice code.
	Data []byte
}

// Scripts is a set of scripts to ask for. It does not change and can be used by
// several matchers at once.
type Scripts struct {
	scripts []script
}

// NewScripts returns a set of scripts.
func NewScripts(scripts [][ScriptSize]byte) *Scripts {
	s := &Scripts{
		scripts: make([]script, len(scripts)),
	}
	for i := range scripts {
		s.scripts[i] = newScript(&scripts[i])
	}

	return s
}

// Matcher asks filters for scripts. It keeps buffers and belongs to one
// goroutine. Its zero value is ready for use.
type Matcher struct {
	// lanes are the filters that are read side by side.
	lanes [lanes]lane

	// run are the differences that were read last, of all lanes.
	run [lanes][runLength]uint64

	// code are the codes of all lanes, each followed by a window of zeros
	// at least, and codeRoom is the room that each has.
	code     []byte
	codeRoom int

	// sieve are the sieves of all lanes, each of 1<<sieveBits bits.
	sieve     []uint64
	sieveBits int

	// shift leaves, of a number, its bit in a sieve. It is chosen for the
	// filter with the most elements.
	shift uint
}

// MalformedError says which filter is not well formed. It wraps ErrMalformed.
type MalformedError struct {
	// Index is the filter's place among those that were asked.
	Index int

	// Err says what is wrong.
	Err error
}

// Error implements error.
func (e *MalformedError) Error() string {
	return fmt.Sprintf("filter %d: %v", e.Index, e.Err)
}

// Unwrap returns what is wrong.
func (e *MalformedError) Unwrap() error {
	return e.Err
}

// Match asks some filters for all scripts of a set and calls matched with the
// place of each filter that has one of them, in no particular order. A script
// that the block pays or spends is always in its filter. Each filter is read to
// its end: for one that is not well formed, or of more than MaxFilterSize, the
// error is a *MalformedError, and what was told before is of no value.
func (m *Matcher) Match(scripts *Scripts, filters []Filter,
	matched func(index int)) error {

	if err := m.prepare(scripts, filters); err != nil {
		return err
	}

	next := 0
	for {
		busy := 0
		for i := range m.lanes {
			lane := &m.lanes[i]
			for lane.left == 0 && next < len(filters) {
				m.load(i, scripts, &filters[next], next)
				next++
			}
			if lane.left > 0 {
				busy++
			}
		}
		if busy == 0 {
			return nil
		}

		if busy == lanes {
			m.readTogether()
		} else {
			m.readAlone()
		}
		if err := m.collect(matched); err != nil {
			return err
		}
	}
}

// prepare makes room for the largest of some filters, and checks their counts.
func (m *Matcher) prepare(scripts *Scripts, filters []Filter) error {
	size, elements := 0, 1
	for i := range filters {
		count, code, err := readCount(filters[i].Data)
		if err != nil {
			return &MalformedError{Index: i, Err: err}
		}
		size, elements = max(size, len(code)), max(elements, count)
	}

	m.codeRoom = size + len(window{})
	m.code = resize(m.code, lanes*m.codeRoom)

	m.sieveBits = sieveSize(len(scripts.scripts))
	m.sieve = resize(m.sieve, lanes<<(m.sieveBits-6))
	bound := uint64(elements) * inverseRate
	m.shift = uint(max(bits.Len64(bound)-m.sieveBits, 0))
	for i := range m.lanes {
		m.lanes[i].idle()
	}

	return nil
}

// load lets a lane begin with a filter.
func (m *Matcher) load(i int, scripts *Scripts, filter *Filter, index int) {
	// The count was checked by prepare.
	count, code, _ := readCount(filter.Data)

	lane, start := &m.lanes[i], i*m.codeRoom
	lane.index, lane.found, lane.broken = index, false, false
	lane.left, lane.bound = count, uint64(count)*inverseRate
	lane.number = 0
	lane.at, lane.end = 8*start, 8*(start+len(code))
	copy(m.code[start:], code)
	clear(m.code[start+len(code) : start+m.codeRoom])
	if count == 0 {
		return
	}

	lane.wanted.fill(
		scripts.scripts, newSipKey(&filter.Block), count,
		m.sieveOf(i), m.shift,
	)
}

// sieveOf returns the sieve of a lane.
func (m *Matcher) sieveOf(i int) []uint64 {
	words := 1 << (m.sieveBits - 6)

	return m.sieve[i*words : (i+1)*words]
}

// collect tells which filters have ended with a match, and fails if one is not
// well formed.
func (m *Matcher) collect(matched func(index int)) error {
	for i := range m.lanes {
		lane := &m.lanes[i]
		if lane.broken {
			return &MalformedError{
				Index: lane.index,
				Err: fmt.Errorf("%w: its code",
					ErrMalformed),
			}
		}
		if lane.left == 0 && lane.found {
			matched(lane.index)
			lane.found = false
		}
	}

	return nil
}
