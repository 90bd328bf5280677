package chainscan

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/chainscan/bip158"
)

// familyState is how far one family is known.
type familyState struct {
	family  Family
	deriver *deriver

	// fixed says that the family is the one script with this index.
	fixed bool
	index uint32

	// used counts the outputs found of each index, those beyond the
	// frontier too.
	used map[uint32]int

	// frontier is the number of scripts from index 0 on that must be
	// tested, tested the number that are tested from here on, and complete
	// the number that were tested against every block walked.
	frontier, tested, complete uint32
}

// close computes the frontier: all indices up to the look-ahead beyond the
// highest used one, where only an index below the frontier counts as used.
func (f *familyState) close(lookAhead uint32) {
	if f.fixed {
		f.frontier = f.index + 1

		return
	}

	f.frontier = lookAhead
	for _, index := range slices.Sorted(maps.Keys(f.used)) {
		if index >= f.frontier {
			return
		}
		f.frontier = addCapped(index+1, lookAhead)
	}
}

// usedCount returns the highest used index below the frontier plus one, or 0.
func (f *familyState) usedCount() uint32 {
	var count uint32
	for index := range f.used {
		if index < f.frontier {
			count = max(count, index+1)
		}
	}

	return count
}

// addCapped adds two numbers of scripts.
func addCapped(a, b uint32) uint32 {
	return uint32(min(uint64(a)+uint64(b), maxScripts))
}

// change says what happened to an output since the last commit.
type change uint8

const (
	// changeFound says that the output was found.
	changeFound change = iota + 1

	// changeSpent says that its spend was found, and it before.
	changeSpent
)

// matcher holds the scripts that are known, the outputs that pay them and their
// spends. It belongs to one goroutine.
type matcher struct {
	lookAhead uint32

	// group are the goroutines that derive scripts, for as long as life.
	life  context.Context
	group sync.WaitGroup

	// families are the families in their order, and known the same by
	// their number.
	families []*familyState
	known    map[int32]*familyState

	walker walker
	hasher *txHasher
	keys   *keySet
	spends *outPointSet

	// generation changes with the scripts that filters must be asked for,
	// and asked are those of the generation askedOf.
	generation, askedOf uint64
	asked               *bip158.Scripts

	// outputs are all outputs found; changes are those since the last
	// commit. Outputs and spends of one transaction share its bytes, which
	// are in transactions.
	outputs      map[wire.OutPoint]*Output
	changes      map[wire.OutPoint]change
	transactions map[chainhash.Hash][]byte

	// stamp and time are those of the block that is walked; fresh are the
	// outputs it brought.
	stamp BlockStamp
	time  int64
	fresh []wire.OutPoint
}

// newMatcher returns a matcher that knows no script yet.
// It derives scripts until its context ends.
func newMatcher(life context.Context, families []Family,
	lookAhead uint32) *matcher {

	m := &matcher{
		lookAhead: lookAhead,
		life:      life,
		known:     make(map[int32]*familyState),
		hasher:    newTxHasher(),
		keys:      newKeySet(),
		spends:    newOutPointSet(),
		outputs:   make(map[wire.OutPoint]*Output),
		changes:   make(map[wire.OutPoint]change),

		transactions: make(map[chainhash.Hash][]byte),
	}
	m.walker.keys, m.walker.spends = m.keys, m.spends

	slots := newDeriverSlots()
	for _, family := range families {
		state := &familyState{
			family:  family,
			deriver: newDeriver(family, slots),
			used:    make(map[uint32]int),
		}
		state.index, state.fixed = family.Fixed()
		state.close(lookAhead)
		m.families = append(m.families, state)
		m.known[family.ID()] = state
	}

	return m
}

// restore adds the outputs of a checkpoint. Those of families that the scan
// does not know are left out.
func (m *matcher) restore(outputs []Output) {
	for _, output := range outputs {
		state, ok := m.known[output.Script.Family]
		if !ok {
			continue
		}

		m.share(&output)
		m.outputs[output.OutPoint] = &output
		state.used[output.Script.Index]++
		if output.Spend == nil {
			m.spends.add(output.OutPoint)
		}
	}
	m.closeAll()
}

// grows tells whether scripts can become known late.
func (m *matcher) grows() bool {
	return slices.ContainsFunc(m.families, func(f *familyState) bool {
		return !f.fixed
	})
}

// closeAll computes the frontiers of all families.
func (m *matcher) closeAll() {
	for _, state := range m.families {
		state.close(m.lookAhead)
	}
}

// grow raises what is tested to the frontier, and by a margin beyond it, in
// each family that needs it, and returns the keys that became known, also
// beside an error; after one it can be called again. With eager, a family needs
// it already when half of the margin is used up.
func (m *matcher) grow(ctx context.Context, margin uint32, eager bool) (
	[][keySize]byte, error) {

	var grown []*familyState
	for _, state := range m.families {
		state.close(m.lookAhead)

		wanted := state.frontier
		if eager && !state.fixed {
			wanted = addCapped(wanted, margin/2)
		}
		if wanted > state.tested {
			grown = append(grown, state)
		}
	}

	// Let all families derive at the same time before waiting for any.
	for _, state := range grown {
		if !state.fixed {
			state.deriver.ensure(m.life, &m.group, addCapped(
				state.frontier, margin+m.lookAhead,
			))
		}
	}

	var added [][keySize]byte
	for _, state := range grown {
		wanted := state.frontier
		if !state.fixed {
			wanted = addCapped(wanted, margin)
		}

		keys, err := m.learn(ctx, state, state.tested, wanted)
		if err != nil {
			return added, err
		}
		state.tested = wanted
		added = append(added, keys...)
	}

	return added, nil
}

// learn adds the scripts of a range of indices to the known ones and returns
// their keys.
func (m *matcher) learn(ctx context.Context, state *familyState, first,
	end uint32) ([][keySize]byte, error) {

	id := ScriptID{Family: state.family.ID()}
	if state.fixed {
		key, err := outputKey(state.family, state.index)
		if err != nil || state.index < first {
			return nil, err
		}
		id.Index = state.index

		return [][keySize]byte{key}, m.addKey(key, id)
	}

	var keys [][keySize]byte
	for index := first; index < end; index++ {
		key, err := state.deriver.key(ctx, index)
		if err != nil {
			return nil, err
		}

		id.Index = index
		if err := m.addKey(key, id); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}

	return keys, nil
}

// addKey adds a script. Two indices with one script would make the result
// depend on the order of discovery, and cannot be if derivation works.
func (m *matcher) addKey(key [keySize]byte, id ScriptID) error {
	if other, ok := m.keys.scripts[key]; ok && other != id {
		return fmt.Errorf("%w: the same script for family %d, index "+
			"%d and family %d, index %d", ErrFamily, other.Family,
			other.Index, id.Family, id.Index)
	}
	m.keys.add(key, id)
	m.generation++

	return nil
}

// relearn forgets all scripts and learns those that are tested from the given
// indices on; from index 0 in a family that is not named.
func (m *matcher) relearn(ctx context.Context, from map[int32]uint32) error {
	m.keys = newKeySet()
	m.walker.keys = m.keys
	m.generation++

	for _, state := range m.families {
		if !state.fixed {
			state.deriver.ensure(m.life, &m.group, state.tested)
		}
	}
	for _, state := range m.families {
		_, err := m.learn(
			ctx, state, from[state.family.ID()], state.tested,
		)
		if err != nil {
			return err
		}
	}

	return nil
}

// walk tests all known scripts and outpoints against a block. With prints, it
// also takes the block's fingerprints.
func (m *matcher) walk(blk block, prints *fingerprints) error {
	m.stamp, m.time = blk.BlockStamp, headerTime(blk.raw)
	m.walker.record = prints

	return m.walker.walk(blk.raw, m.found)
}

// filterScripts returns the scripts that a block's filter must be asked for:
// the known ones, and those of unspent outputs, which need not be among them.
func (m *matcher) filterScripts() *bip158.Scripts {
	if m.asked != nil && m.askedOf == m.generation {
		return m.asked
	}

	wanted := make(map[[keySize]byte]struct{})
	for key := range m.keys.scripts {
		wanted[key] = struct{}{}
	}
	for _, output := range m.outputs {
		if output.Spend == nil {
			wanted[taprootKey(output.PkScript)] = struct{}{}
		}
	}

	scripts := make([][taprootScriptSize]byte, 0, len(wanted))
	for key := range wanted {
		scripts = append(scripts, taprootScript(key))
	}
	m.asked, m.askedOf = bip158.NewScripts(scripts), m.generation

	return m.asked
}

// subset returns those of some keys that are known.
func (m *matcher) subset(keys [][keySize]byte) *keySet {
	set := newKeySet()
	for _, key := range keys {
		if script, ok := m.keys.scripts[key]; ok {
			set.add(key, script)
		}
	}

	return set
}

// walkFor tests some of the known scripts, and all known outpoints, against a
// block.
func (m *matcher) walkFor(keys *keySet, blk block) error {
	m.walker.keys = keys
	defer func() { m.walker.keys = m.keys }()

	return m.walk(blk, nil)
}

// found takes the matches of a transaction.
func (m *matcher) found(tx *rawTx) {
	var id chainhash.Hash
	m.hasher.id(tx, &id)
	raw := m.shared(id, tx.bytes())

	for _, match := range m.walker.matches {
		if match.output {
			m.addOutput(tx, match, id, raw)
		} else {
			m.addSpend(tx, match, id, raw)
		}
	}
}

// shared returns the bytes of a transaction, those kept if it was seen before.
// After a reorg it can come back with another witness.
func (m *matcher) shared(id chainhash.Hash, raw []byte) []byte {
	if kept, ok := m.transactions[id]; ok && bytes.Equal(kept, raw) {
		return kept
	}
	m.transactions[id] = raw

	return raw
}

// share lets an output share the bytes of its transactions with others.
func (m *matcher) share(output *Output) {
	output.FundingTx = m.shared(output.OutPoint.Hash, output.FundingTx)
	if output.Spend != nil {
		spend := *output.Spend
		spend.SpendingTx = m.shared(spend.TxID, spend.SpendingTx)
		output.Spend = &spend
	}
}

// addOutput takes an output that pays a known script.
func (m *matcher) addOutput(tx *rawTx, match txMatch, id chainhash.Hash,
	raw []byte) {

	outPoint := wire.OutPoint{Hash: id, Index: match.index}
	if _, ok := m.outputs[outPoint]; ok {
		return
	}

	// The amount, the script's length in one byte, two opcodes, the key.
	b := tx.block[match.offset:]
	key := [keySize]byte(b[8+1+2:])

	output := &Output{
		OutPoint:  outPoint,
		Script:    m.keys.scripts[key],
		PkScript:  outputScript(key),
		Value:     btcutil.Amount(binary.LittleEndian.Uint64(b)),
		Block:     m.stamp,
		BlockTime: m.time,
		FundingTx: raw,
	}
	m.outputs[outPoint] = output
	m.changes[outPoint] = changeFound
	m.known[output.Script.Family].used[output.Script.Index]++
	m.spends.add(outPoint)
	m.fresh = append(m.fresh, outPoint)
}

// addSpend takes an input that spends a known outpoint.
func (m *matcher) addSpend(tx *rawTx, match txMatch, id chainhash.Hash,
	raw []byte) {

	outPoint := readOutPoint(tx.block[match.offset:])
	m.outputs[outPoint].Spend = &Spend{
		TxID:       id,
		InputIndex: match.index,
		Block:      m.stamp,
		BlockTime:  m.time,
		SpendingTx: raw,
	}
	m.spends.remove(outPoint)

	if _, ok := m.changes[outPoint]; !ok {
		m.changes[outPoint] = changeSpent
	}
}

// rollBack forgets all outputs and spends above a height.
func (m *matcher) rollBack(height int32) {
	for outPoint, output := range m.outputs {
		switch {
		case output.Block.Height > height:
			delete(m.outputs, outPoint)
			delete(m.changes, outPoint)
			m.spends.remove(outPoint)

			used := m.known[output.Script.Family].used
			used[output.Script.Index]--
			if used[output.Script.Index] == 0 {
				delete(used, output.Script.Index)
			}

		case output.Spend != nil && output.Spend.Block.Height > height:
			output.Spend = nil
			m.spends.add(outPoint)
			if m.changes[outPoint] == changeSpent {
				delete(m.changes, outPoint)
			}
		}
	}
	m.closeAll()
	m.generation++

	clear(m.transactions)
	for _, output := range m.outputs {
		m.share(output)
	}
}

// takeFresh returns the outputs found since it was last called.
func (m *matcher) takeFresh() []wire.OutPoint {
	fresh := slices.Clone(m.fresh)
	m.fresh = m.fresh[:0]

	return fresh
}

// changed returns what is found and not saved yet, sorted. If it is doubtful
// whether some of that was saved, a spend is told apart from its output, which
// the checkpoint can hold without it.
func (m *matcher) changed(doubtful bool) ([]Output, []OutputSpend) {
	var (
		outputs []Output
		spends  []OutputSpend
	)
	for outPoint, change := range m.changes {
		output := *m.outputs[outPoint]
		if change == changeFound {
			outputs = append(outputs, output)
		}
		apart := doubtful && output.Spend != nil
		if change == changeSpent || apart {
			spends = append(spends, OutputSpend{Output: output})
		}
	}

	slices.SortFunc(outputs, CompareOutputs)
	slices.SortFunc(spends, func(a, b OutputSpend) int {
		return CompareOutputs(a.Output, b.Output)
	})

	return outputs, spends
}

// split returns all outputs found, sorted: those below the frontiers, and those
// beyond.
func (m *matcher) split() ([]Output, []Output) {
	var inside, beyond []Output
	for _, output := range m.outputs {
		state := m.known[output.Script.Family]
		if output.Script.Index < state.frontier {
			inside = append(inside, *output)
		} else {
			beyond = append(beyond, *output)
		}
	}
	slices.SortFunc(inside, CompareOutputs)
	slices.SortFunc(beyond, CompareOutputs)

	return inside, beyond
}

// countInside returns the number of outputs below the frontiers.
func (m *matcher) countInside() int {
	count := 0
	for _, state := range m.families {
		for index, outputs := range state.used {
			if index < state.frontier {
				count += outputs
			}
		}
	}

	return count
}

// CompareOutputs orders outputs by height, transaction hash and index.
func CompareOutputs(a, b Output) int {
	return cmp.Or(
		cmp.Compare(a.Block.Height, b.Block.Height),
		compareHashes(a.OutPoint.Hash, b.OutPoint.Hash),
		cmp.Compare(a.OutPoint.Index, b.OutPoint.Index),
	)
}

// compareHashes orders hashes by their text, which is the bytes from last to
// first.
func compareHashes(a, b chainhash.Hash) int {
	for i := chainhash.HashSize - 1; i >= 0; i-- {
		if a[i] != b[i] {
			return cmp.Compare(a[i], b[i])
		}
	}

	return 0
}
