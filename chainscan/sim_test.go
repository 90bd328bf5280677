package chainscan

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// simFamily is a family whose keys are hashes of its number and the index.
type simFamily struct {
	id    int32
	fixed bool
	index uint32
}

// ID returns the family.
func (f *simFamily) ID() int32 { return f.id }

// Fixed returns the only index.
func (f *simFamily) Fixed() (uint32, bool) { return f.index, f.fixed }

// Script returns the output script of an index.
func (f *simFamily) Script(index uint32) ([]byte, error) {
	return simScript(f.id, index), nil
}

// simScript returns the output script of an index of a family.
func simScript(family int32, index uint32) []byte {
	var seed [8]byte
	binary.BigEndian.PutUint32(seed[:], uint32(family))
	binary.BigEndian.PutUint32(seed[4:], index)

	return outputScript(sha256.Sum256(seed[:]))
}

// simBlock is a block of a simulated chain.
type simBlock struct {
	BlockStamp
	msg *wire.MsgBlock
	raw []byte

	// ids are the hashes of the transactions.
	ids []chainhash.Hash
}

// simBranch is a chain from genesis to a tip.
type simBranch []*simBlock

// extend returns the branch with one more block that holds the given
// transactions behind its coinbase.
func (b simBranch) extend(txs []*wire.MsgTx, nonce uint32) simBranch {
	return b.extendTo([]byte{0x51}, txs, nonce)
}

// extendTo is extend with a coinbase that pays a script.
func (b simBranch) extendTo(pkScript []byte, txs []*wire.MsgTx,
	nonce uint32) simBranch {

	height := int32(len(b))

	coinbase := wire.NewMsgTx(2)
	coinbase.AddTxIn(&wire.TxIn{
		PreviousOutPoint: wire.OutPoint{Index: ^uint32(0)},
		SignatureScript: binary.LittleEndian.AppendUint32(
			[]byte{4}, uint32(height),
		),
		Witness: wire.TxWitness{make([]byte, 32)},
	})
	coinbase.AddTxOut(wire.NewTxOut(50e8, pkScript))

	msg := &wire.MsgBlock{
		Header: wire.BlockHeader{
			Version:   4,
			Timestamp: time.Unix(1.7e9+600*int64(height), 0),
			Nonce:     nonce,
		},
		Transactions: append([]*wire.MsgTx{coinbase}, txs...),
	}
	if height > 0 {
		msg.Header.PrevBlock = b[height-1].Hash
	}

	var (
		utils []*btcutil.Tx
		ids   []chainhash.Hash
	)
	for _, tx := range msg.Transactions {
		utils = append(utils, btcutil.NewTx(tx))
		ids = append(ids, *utils[len(utils)-1].Hash())
	}
	msg.Header.MerkleRoot = blockchain.CalcMerkleRoot(utils, false)

	var raw bytes.Buffer
	if err := msg.Serialize(&raw); err != nil {
		panic(err)
	}

	return append(b[:height:height], &simBlock{
		BlockStamp: BlockStamp{Height: height, Hash: msg.BlockHash()},
		msg:        msg,
		raw:        raw.Bytes(),
		ids:        ids,
	})
}

// simSource is a source over a branch that can be replaced while it is used.
type simSource struct {
	mu     sync.Mutex
	branch simBranch
	blocks map[chainhash.Hash]*simBlock
	pruned map[int32]bool

	// served counts the blocks given away, by height.
	served map[int32]int

	// stale, if set, is the error for a block that is not on the best
	// chain.
	stale error

	// calls counts the calls; onCall, if set, sees the number of each,
	// with the lock held, and can return an error.
	calls  int
	onCall func(call int) error
}

var _ Source = (*simSource)(nil)

// newSimSource returns a source over a branch.
func newSimSource(branch simBranch) *simSource {
	s := &simSource{
		blocks: make(map[chainhash.Hash]*simBlock),
		pruned: make(map[int32]bool),
		served: make(map[int32]int),
	}
	s.setBranch(branch)

	return s
}

// set makes a branch the best chain.
func (s *simSource) set(branch simBranch) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.setBranch(branch)
}

// setBranch is set with the lock held. Blocks of the branch before stay to be
// had by their hash, as with a real node.
func (s *simSource) setBranch(branch simBranch) {
	s.branch = branch
	for _, blk := range branch {
		s.blocks[blk.Hash] = blk
	}
}

// call counts a call.
func (s *simSource) call(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}

	s.calls++
	if s.onCall != nil {
		return s.onCall(s.calls)
	}

	return nil
}

// Name names the source.
func (s *simSource) Name() string { return "simulation" }

// BestBlock returns the tip.
func (s *simSource) BestBlock(ctx context.Context) (BlockStamp, error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if err := s.call(ctx); err != nil {
		return BlockStamp{}, err
	}

	return s.branch[len(s.branch)-1].BlockStamp, nil
}

// BlockHash returns the hash at a height.
func (s *simSource) BlockHash(ctx context.Context, height int32) (
	chainhash.Hash, error) {

	s.mu.Lock()
	defer s.mu.Unlock()

	if err := s.call(ctx); err != nil {
		return chainhash.Hash{}, err
	}
	if height < 0 || int(height) >= len(s.branch) {
		return chainhash.Hash{}, errors.New("no such height")
	}

	return s.branch[height].Hash, nil
}

// Block returns the bytes of a block.
func (s *simSource) Block(ctx context.Context, hash chainhash.Hash) ([]byte,
	error) {

	s.mu.Lock()
	defer s.mu.Unlock()

	if err := s.call(ctx); err != nil {
		return nil, err
	}
	blk, ok := s.blocks[hash]
	if !ok {
		return nil, errors.New("no such block")
	}
	off := int(blk.Height) >= len(s.branch) ||
		s.branch[blk.Height] != blk
	if off && s.stale != nil {
		return nil, s.stale
	}
	if s.pruned[blk.Height] {
		return nil, fmt.Errorf("%w: pruned", ErrUnavailable)
	}

	s.served[blk.Height]++

	return blk.raw, nil
}

// oracle finds, by brute force over decoded blocks and nothing of the scanner,
// what a scan of the branch must return.
func oracle(branch simBranch, families []Family, birthday int32,
	lookAhead uint32) []Output {

	frontier := make(map[int32]uint32)
	for {
		outputs := oraclePass(branch, families, birthday, lookAhead,
			frontier)

		grown := false
		for _, output := range outputs {
			family, wanted := output.Script.Family,
				output.Script.Index+1+lookAhead
			if frontier[family] < wanted {
				frontier[family] = wanted
				grown = true
			}
		}
		if !grown {
			return outputs
		}
	}
}

// oraclePass finds what the scripts below the frontiers bring.
func oraclePass(branch simBranch, families []Family, birthday int32,
	lookAhead uint32, frontier map[int32]uint32) []Output {

	scripts := make(map[string]ScriptID)
	for _, family := range families {
		first, end := uint32(0), max(frontier[family.ID()], lookAhead)
		if index, fixed := family.Fixed(); fixed {
			first, end = index, index+1
		}
		for index := first; index < end; index++ {
			script, _ := family.Script(index)
			scripts[string(script)] = ScriptID{
				Family: family.ID(), Index: index,
			}
		}
	}

	var outputs []Output
	known := make(map[wire.OutPoint]int)
	for _, blk := range branch[min(int(birthday), len(branch)):] {
		for i := range blk.msg.Transactions {
			outputs = oracleTx(blk, i, scripts, known, outputs)
		}
	}
	slices.SortFunc(outputs, CompareOutputs)

	return outputs
}

// oracleTx adds what one transaction of a block brings.
func oracleTx(blk *simBlock, n int, scripts map[string]ScriptID,
	known map[wire.OutPoint]int, outputs []Output) []Output {

	tx, id := blk.msg.Transactions[n], blk.ids[n]
	raw := sync.OnceValue(func() []byte {
		var raw bytes.Buffer
		if err := tx.Serialize(&raw); err != nil {
			panic(err)
		}

		return raw.Bytes()
	})

	for i, in := range tx.TxIn {
		if n, ok := known[in.PreviousOutPoint]; ok {
			outputs[n].Spend = &Spend{
				TxID:       id,
				InputIndex: uint32(i),
				Block:      blk.BlockStamp,
				BlockTime:  blk.msg.Header.Timestamp.Unix(),
				SpendingTx: raw(),
			}
		}
	}

	for i, out := range tx.TxOut {
		script, ok := scripts[string(out.PkScript)]
		if !ok {
			continue
		}

		outPoint := wire.OutPoint{Hash: id, Index: uint32(i)}
		known[outPoint] = len(outputs)
		outputs = append(outputs, Output{
			OutPoint:  outPoint,
			Script:    script,
			PkScript:  out.PkScript,
			Value:     btcutil.Amount(out.Value),
			Block:     blk.BlockStamp,
			BlockTime: blk.msg.Header.Timestamp.Unix(),
			FundingTx: raw(),
		})
	}

	return outputs
}

// simulation makes adversarial chains.
type simulation struct {
	rng       *rand.Rand
	birthday  int32
	lookAhead uint32
	families  []Family

	// plans are the children to be paid, in the order of payment.
	plans []ScriptID

	// lock numbers the transactions, so that no two are equal.
	lock uint32
}

// simState is what the generator knows of a branch: the outputs to known
// scripts that are unspent, by the height of the block.
type simState struct {
	branch  simBranch
	unspent []wire.OutPoint
	next    int
}

// newSimulation draws the shape of a chain.
func newSimulation(seed uint64) *simulation {
	rng := rand.New(rand.NewPCG(seed, 0x1007))
	s := &simulation{
		rng:       rng,
		birthday:  rng.Int32N(12),
		lookAhead: 1 + rng.Uint32N(5),
		families: []Family{
			&simFamily{id: 60, fixed: true, index: rng.Uint32N(30)},
			&simFamily{id: 61},
		},
	}
	if rng.IntN(2) == 0 {
		s.families = append(s.families, &simFamily{id: 62})
	}

	for _, family := range s.families {
		s.plans = append(s.plans, s.plan(family)...)
	}
	if rng.IntN(3) == 0 {
		rng.Shuffle(len(s.plans), func(i, j int) {
			s.plans[i], s.plans[j] = s.plans[j], s.plans[i]
		})
	}

	return s
}

// plan draws the children of one family that will be paid, in the order of
// payment.
func (s *simulation) plan(family Family) []ScriptID {
	if index, fixed := family.Fixed(); fixed {
		return slices.Repeat(
			[]ScriptID{{Family: family.ID(), Index: index}},
			s.rng.IntN(4),
		)
	}

	// Steps up to just beyond the gap that a look-ahead bridges.
	var (
		plan  []ScriptID
		index uint32
	)
	for range s.rng.IntN(24) {
		plan = append(plan, ScriptID{Family: family.ID(), Index: index})
		switch s.rng.IntN(8) {
		case 0:
		case 1:
			index += s.lookAhead
		case 2:
			index += s.lookAhead + s.rng.Uint32N(2)
		default:
			index++
		}
	}

	switch s.rng.IntN(4) {
	case 0:
		slices.Reverse(plan)
	case 1:
		s.rng.Shuffle(len(plan), func(i, j int) {
			plan[i], plan[j] = plan[j], plan[i]
		})
	}

	return plan
}

// genesis returns a branch up to the block before the birthday, or one block.
func (s *simulation) genesis() *simState {
	state := &simState{}
	for range max(s.birthday, 1) {
		state.branch = state.branch.extend(nil, 0)
	}

	return state
}

// grow extends a branch by a number of random blocks.
func (s *simulation) grow(state simState, blocks int) *simState {
	state.unspent = slices.Clone(state.unspent)
	for range blocks {
		var txs []*wire.MsgTx

		// Now and then a long run of children, each spent by the next.
		if s.rng.IntN(25) == 0 {
			txs = append(txs, s.run(&state)...)
		}
		for range s.rng.IntN(4) {
			txs = append(txs, s.tx(&state))
		}
		s.mine(&state, txs)
	}

	return &state
}

// mine extends a branch by a block. Now and then a miner is paid on a child.
func (s *simulation) mine(state *simState, txs []*wire.MsgTx) {
	script, known := []byte{0x51}, false
	if s.rng.IntN(6) == 0 {
		script, known = s.script(state)
	}
	state.branch = state.branch.extendTo(script, txs, s.rng.Uint32())
	if known {
		ids := state.branch[len(state.branch)-1].ids
		state.unspent = append(
			state.unspent, wire.OutPoint{Hash: ids[0]},
		)
	}
}

// run returns transactions that pay 20 planned children, each spending the one
// before.
func (s *simulation) run(state *simState) []*wire.MsgTx {
	var (
		txs  []*wire.MsgTx
		last *wire.OutPoint
	)
	for range 20 {
		script, ok := s.nextPlan(state)
		if !ok {
			break
		}

		tx := s.emptyTx()
		if last != nil {
			tx.TxIn[0].PreviousOutPoint = *last
		}
		tx.AddTxOut(wire.NewTxOut(
			1_000, simScript(script.Family, script.Index),
		))
		txs = append(txs, tx)
		last = &wire.OutPoint{Hash: tx.TxHash()}
	}
	if last != nil {
		state.unspent = append(state.unspent, *last)
	}

	return txs
}

// nextPlan takes the next planned payment.
func (s *simulation) nextPlan(state *simState) (ScriptID, bool) {
	if state.next >= len(s.plans) {
		return ScriptID{}, false
	}
	state.next++

	return s.plans[state.next-1], true
}

// emptyTx returns a transaction with one input that spends nothing known.
func (s *simulation) emptyTx() *wire.MsgTx {
	s.lock++

	var hash chainhash.Hash
	binary.LittleEndian.PutUint64(hash[:], s.rng.Uint64())

	tx := wire.NewMsgTx(2)
	tx.LockTime = s.lock
	in := &wire.TxIn{
		PreviousOutPoint: wire.OutPoint{
			Hash: hash, Index: s.rng.Uint32N(3),
		},
	}
	switch s.rng.IntN(3) {
	case 0:
		in.Witness = wire.TxWitness{make([]byte, 64)}
	case 1:
		in.SignatureScript = make([]byte, 107)
	case 2:
		in.Witness = wire.TxWitness{
			make([]byte, 300), make([]byte, 39), {},
		}
	}
	tx.AddTxIn(in)

	return tx
}

// tx returns a random transaction: it can spend known outputs and pay planned,
// used, far or unknown scripts.
func (s *simulation) tx(state *simState) *wire.MsgTx {
	tx := s.emptyTx()
	for len(state.unspent) > 0 && s.rng.IntN(2) == 0 {
		i := s.rng.IntN(len(state.unspent))
		tx.AddTxIn(wire.NewTxIn(
			&state.unspent[i], nil,
			wire.TxWitness{make([]byte, 64)},
		))
		state.unspent = slices.Delete(state.unspent, i, i+1)
	}

	var paid []uint32
	for i := range 1 + s.rng.Uint32N(4) {
		script, known := s.script(state)
		tx.AddTxOut(wire.NewTxOut(s.rng.Int64N(1e8), script))
		if known {
			paid = append(paid, i)
		}
	}
	for _, i := range paid {
		state.unspent = append(state.unspent, wire.OutPoint{
			Hash: tx.TxHash(), Index: i,
		})
	}

	return tx
}

// script draws the script of an output, and tells whether it is of a family.
func (s *simulation) script(state *simState) ([]byte, bool) {
	switch s.rng.IntN(8) {
	// A child that was paid before, or will be.
	case 0:
		if len(s.plans) > 0 {
			script := s.plans[s.rng.IntN(len(s.plans))]

			return simScript(script.Family, script.Index), true
		}

	// A child that can lie too far ahead.
	case 1:
		family := s.families[s.rng.IntN(len(s.families))]

		return simScript(family.ID(), s.rng.Uint32N(simIndices)), true

	case 2:
		return []byte{0x6a, 0x01, 0x02}, false

	case 3:
		return simScript(99, s.rng.Uint32()), false

	case 4:
		return append([]byte{0x00, 0x14}, make([]byte, 20)...), false

	default:
		if script, ok := s.nextPlan(state); ok {
			return simScript(script.Family, script.Index), true
		}
	}

	return append([]byte{0x00, 0x20}, make([]byte, 32)...), false
}

// fork returns a branch that leaves the given one below its tip and is longer.
// It takes the transactions of some of the blocks over.
func (s *simulation) fork(state *simState, depth, longer int) *simState {
	height := len(state.branch) - depth
	forked := simState{
		branch: state.branch[:height:height],
		next:   s.rng.IntN(state.next + 1),
	}

	spent := make(map[wire.OutPoint]bool)
	for _, blk := range state.branch[height:] {
		if s.rng.IntN(2) == 0 {
			break
		}

		txs := blk.msg.Transactions[1:]
		forked.branch = forked.branch.extend(txs, s.rng.Uint32())
	}
	for _, blk := range forked.branch {
		for _, tx := range blk.msg.Transactions {
			for _, in := range tx.TxIn {
				spent[in.PreviousOutPoint] = true
			}
		}
	}
	for _, blk := range forked.branch {
		for i, tx := range blk.msg.Transactions {
			forked.collect(tx, blk.ids[i], spent)
		}
	}

	blocks := len(state.branch) + longer - len(forked.branch)

	return s.grow(forked, max(blocks, 1))
}

// collect adds the unspent outputs of a transaction to known scripts.
func (s *simState) collect(tx *wire.MsgTx, id chainhash.Hash,
	spent map[wire.OutPoint]bool) {

	for i, out := range tx.TxOut {
		outPoint := wire.OutPoint{Hash: id, Index: uint32(i)}
		if spent[outPoint] || !isSimScript(out.PkScript) {
			continue
		}
		s.unspent = append(s.unspent, outPoint)
	}
}

// simIndices is the number of indices of a family that the simulation pays.
const simIndices = 60

// simScripts are the scripts of these indices, of the families 60 to 62.
var simScripts = func() map[string]ScriptID {
	scripts := make(map[string]ScriptID)
	for family := int32(60); family <= 62; family++ {
		for index := range uint32(simIndices) {
			scripts[string(simScript(family, index))] = ScriptID{
				Family: family, Index: index,
			}
		}
	}

	return scripts
}()

// isSimScript tells whether a script is one of those.
func isSimScript(script []byte) bool {
	_, ok := simScripts[string(script)]

	return ok
}
