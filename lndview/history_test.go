package lndview_test

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwallet"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/lndview"
	"github.com/stretchr/testify/require"
)

// historiesFlag is the number of random histories of a run.
var historiesFlag = flag.Int("histories", 1_000, "number of random histories")

const (
	// historySteps is the number of steps of a history.
	historySteps = 40

	// historyStart is the number of blocks that it begins with.
	historyStart = 12
)

// world is a chain, an lnd, an embedded daemon and a View, to which random
// things happen.
type world struct {
	*harness

	random *rand.Rand
	mutant string

	// full is the best chain while the node is behind it, else nil.
	full []*wire.MsgBlock

	// imported is the height of the tip when lnd's wallet began to watch
	// the script: it sees what confirms after it, and nothing before.
	imported int32

	// pending are our own spends that lnd accepted and still has.
	pending []*wire.MsgTx

	// old is an earlier ledger, and rival the ledger of another owner.
	old   *lndview.Snapshot
	rival *lndview.MemoryLedger

	// known are the spends that were proven since the ledger is this one.
	known map[wire.OutPoint]chainhash.Hash

	// answers counts the answers, and settledAnswers those of them in
	// which everything was proven.
	answers, settledAnswers int

	// broken is the first promise that was broken, and trail what happened.
	broken error
	trail  []string
	runs   int
}

// newWorld returns a world without deposits.
func newWorld(t *testing.T, seed int64, mutant string) *world {
	h := newHarness(t)
	h.chain.disconnect(startHeight - historyStart)
	w := &world{
		harness: h, random: rand.New(rand.NewSource(seed)),
		mutant: mutant, rival: lndview.NewMemoryLedger(),
		imported: h.chain.height(),
	}
	w.restarted(false)

	return w
}

// restarted makes a new View on the ledger, which may not be the one of before.
func (w *world) restarted(otherLedger bool) {
	if otherLedger || w.known == nil {
		w.known = make(map[wire.OutPoint]chainhash.Hash)
	}
	w.restart()
	w.view.Break(w.mutant)
}

// truth returns all outputs of the best chain, also while the node is behind.
func (w *world) truth() map[wire.OutPoint]chainscan.Output {
	behind := w.chain.best
	if w.full != nil {
		w.chain.best = w.full
	}
	defer func() { w.chain.best = behind }()

	outputs := make(map[wire.OutPoint]chainscan.Output)
	for _, output := range w.chain.scan(static).Outputs {
		outputs[output.OutPoint] = output
	}

	return outputs
}

// sync lets lnd's wallet know what the node tells it: of the outputs it sees,
// the transactions that make and spend them, and of our own spends. What it
// knows it keeps while the node is behind.
func (w *world) sync() {
	if w.full != nil {
		return
	}
	var (
		txs    []walletTx
		native = make(map[wire.OutPoint]nativeUtxo)
		seen   = make(map[wire.OutPoint]bool)
	)
	for height, block := range w.chain.best {
		for _, tx := range block.Transactions {
			known := walletTx{tx: tx, height: int32(height)}
			concerns := false
			for _, in := range tx.TxIn {
				concerns = concerns ||
					seen[in.PreviousOutPoint]
				delete(native, in.PreviousOutPoint)
			}
			for i, out := range tx.TxOut {
				if string(out.PkScript) != string(static) ||
					int32(height) <= w.imported {

					continue
				}
				op := wire.OutPoint{
					Hash: tx.TxHash(), Index: uint32(i),
				}
				seen[op], concerns = true, true
				known.own = append(known.own, i)
				native[op] = nativeUtxo{
					value:    btcutil.Amount(out.Value),
					pkScript: static, height: int32(height),
				}
			}
			if concerns {
				txs = append(txs, known)
			}
		}
	}
	w.pending = slices.DeleteFunc(w.pending, w.dead)
	for _, tx := range w.pending {
		txs = append(txs, walletTx{tx: tx})
		for _, in := range tx.TxIn {
			delete(native, in.PreviousOutPoint)
		}
	}

	w.lnd.mu.Lock()
	defer w.lnd.mu.Unlock()
	w.lnd.txs, w.lnd.native = txs, native
}

// dead says whether a spend of ours is confirmed or can no longer confirm.
func (w *world) dead(tx *wire.MsgTx) bool {
	truth := w.truth()

	return slices.ContainsFunc(tx.TxIn, func(in *wire.TxIn) bool {
		output, ok := truth[in.PreviousOutPoint]

		return !ok || output.Spend != nil
	})
}

// spending says whether a spend of ours that is waited for spends an output.
func (w *world) spending(outPoint wire.OutPoint) bool {
	return slices.ContainsFunc(w.pending, func(tx *wire.MsgTx) bool {
		return slices.ContainsFunc(tx.TxIn, func(in *wire.TxIn) bool {
			return in.PreviousOutPoint == outPoint
		})
	})
}

// fail notes the first promise that was broken.
func (w *world) fail(format string, args ...any) {
	if w.broken == nil {
		w.broken = fmt.Errorf(format, args...)
	}
}

// check asks as the embedded daemon does and compares the answer with the
// truth. spent, if not nil, is being published.
func (w *world) check(spent *wire.OutPoint) {
	utxos, err := w.seen.WalletKit.ListUnspent(
		w.t.Context(), 0, math.MaxInt32,
	)
	provisional, provErr := w.view.Provisional(w.t.Context())
	if err := errors.Join(err, provErr); err != nil {
		w.fail("no answer: %w", err)

		return
	}

	truth := w.truth()
	unproven := make(map[wire.OutPoint]bool)
	for _, outPoint := range provisional {
		unproven[outPoint] = true
	}
	listed := make(map[wire.OutPoint]bool)
	for _, utxo := range utxos {
		outPoint := utxo.OutPoint
		if listed[outPoint] {
			w.fail("duplicate: %v", outPoint)
		}
		listed[outPoint] = true
		output, exists := truth[outPoint]
		switch {
		case !exists && !unproven[outPoint]:
			w.fail("revival: %v is not on the chain", outPoint)

		case exists && output.Spend != nil:
			w.checkSpent(output, unproven[outPoint])

		case w.spending(outPoint) && spent == nil:
			w.fail("revival: %v is being spent", outPoint)
		}
	}

	w.answers++
	if w.settled() {
		w.settledAnswers++
	}
	w.checkComplete(truth, listed, spent)
	if w.healthy(truth) && len(provisional) > 0 {
		w.fail("refused: %v of a healthy user", provisional)
	}
	w.detect(truth, listed)
}

// checkSpent judges that a spent output is in an answer.
func (w *world) checkSpent(output chainscan.Output, unproven bool) {
	switch {
	case !unproven && w.full == nil:
		w.fail("revival: %v is spent", output.OutPoint)

	case w.known[output.OutPoint] == output.Spend.TxID:
		w.fail("revival: %v was proven to be spent", output.OutPoint)
	}
}

// settled says whether everything is proven.
func (w *world) settled() bool {
	return w.full == nil && len(w.view.Unproven()) == 0 &&
		w.view.Status().Lagging == nil
}

// orphaned says whether the ledger followed a chain that is not the best one,
// and the node, being behind, cannot know that yet: nobody can.
func (w *world) orphaned() bool {
	followed := w.view.Status().Followed
	if w.full == nil || followed == nil {
		return false
	}

	return int(followed.Height) >= len(w.full) ||
		w.full[followed.Height].BlockHash() != followed.Hash
}

// checkComplete judges what is not in an answer.
func (w *world) checkComplete(truth map[wire.OutPoint]chainscan.Output,
	listed map[wire.OutPoint]bool, spent *wire.OutPoint) {

	if w.orphaned() {
		return
	}
	live := make(map[wire.OutPoint]bool)
	for _, row := range w.rows.rows {
		live[row.OutPoint] = true
	}
	for outPoint, output := range truth {
		published := spent != nil && *spent == outPoint
		there := listed[outPoint] || output.Spend != nil ||
			w.spending(outPoint) && !published
		if !there && (live[outPoint] || w.settled()) {
			w.fail("omission: %v (row %v, settled %v)", outPoint,
				live[outPoint], w.settled())
		}
		if output.Spend != nil && w.settled() && !listed[outPoint] {
			w.known[outPoint] = output.Spend.TxID
		}
	}
}

// healthy says whether lnd's wallet saw everything from the beginning, and
// everything is proven.
func (w *world) healthy(truth map[wire.OutPoint]chainscan.Output) bool {
	for _, output := range truth {
		if output.Block.Height <= w.imported {
			return false
		}
	}

	return w.settled()
}

// detect lets the embedded daemon keep what it was told of, and end what is
// spent, if it notices.
func (w *world) detect(truth map[wire.OutPoint]chainscan.Output,
	listed map[wire.OutPoint]bool) {

	w.rows.mu.Lock()
	defer w.rows.mu.Unlock()

	for _, row := range w.rows.rows {
		delete(listed, row.OutPoint)
	}
	for outPoint := range listed {
		output, ok := truth[outPoint]
		if !ok {
			continue
		}
		w.rows.rows = append(w.rows.rows, lndview.Deposit{
			OutPoint: outPoint, PkScript: static,
			Value:              output.Value,
			ConfirmationHeight: int64(output.Block.Height),
		})
	}
	w.rows.rows = slices.DeleteFunc(w.rows.rows, func(
		row lndview.Deposit) bool {

		output, ok := truth[row.OutPoint]

		return ok && output.Spend != nil && w.random.Intn(3) == 0
	})
}

// unspentOutputs returns the outputs that are unspent and not being spent.
func (w *world) unspentOutputs() []wire.OutPoint {
	var unspent []wire.OutPoint
	for outPoint, output := range w.truth() {
		if output.Spend == nil && !w.spending(outPoint) {
			unspent = append(unspent, outPoint)
		}
	}
	slices.SortFunc(unspent, func(a, b wire.OutPoint) int {
		return slices.Compare(a.Hash[:], b.Hash[:])
	})

	return unspent
}

// pick returns one of the unspent outputs.
func (w *world) pick() (wire.OutPoint, bool) {
	unspent := w.unspentOutputs()
	if len(unspent) == 0 {
		return wire.OutPoint{}, false
	}

	return unspent[w.random.Intn(len(unspent))], true
}

// events are what can happen, by name.
var events = map[string]func(*world){
	"deposit":       func(w *world) { w.deposit(1_000) },
	"learned late":  (*world).learnedLate,
	"own spend":     (*world).ownSpend,
	"confirmed":     (*world).confirm,
	"abandoned":     (*world).abandon,
	"replaced":      (*world).replace,
	"server spends": (*world).serverSpends,
	"reorg":         (*world).reorg,
	"lnd rebuilt":   (*world).rebuild,
	"node behind":   (*world).fallBehind,
	"ledger lost": func(w *world) {
		w.ledger.Lose()
		w.restarted(true)
	},
	"ledger kept": func(w *world) {
		w.old, _ = w.ledger.Load(w.t.Context())
	},
	"ledger old":  (*world).turnBack,
	"restart":     func(w *world) { w.restarted(false) },
	"other owner": (*world).takeOver,
	"proven":      (*world).prove,
	"blocks":      func(w *world) { w.chain.mineEmpty(w.random.Intn(8)) },
}

// learnedLate mines a deposit of which lnd's wallet learns in the middle of an
// answer.
func (w *world) learnedLate() {
	w.sync()
	w.deposit(2_000)
	calls := w.random.Intn(4)
	learn := func() {
		if calls--; calls < 0 {
			w.sync()
		}
	}
	w.lnd.hook("ListUnspent", learn)
	w.lnd.hook("ListTransactions", learn)
	w.check(nil)
	w.lnd.hook("ListUnspent", nil)
	w.lnd.hook("ListTransactions", nil)
}

// ownSpend publishes a spend, if nothing of it is unproven. An lnd on neutrino
// drops what it spends from its list before the call has returned.
func (w *world) ownSpend() {
	outPoint, ok := w.pick()
	utxos, err := w.seen.WalletKit.ListUnspent(
		w.t.Context(), 0, math.MaxInt32,
	)
	provisional, _ := w.view.Provisional(w.t.Context())
	listed := slices.ContainsFunc(utxos, func(utxo *lnwallet.Utxo) bool {
		return utxo.OutPoint == outPoint
	})
	if !ok || err != nil || !listed || len(provisional) > 0 {
		return
	}

	tx := w.spend(outPoint)
	if w.random.Intn(2) == 0 {
		w.lnd.hook("PublishTransaction", func() {
			w.pending = append(w.pending, tx)
			w.sync()
			w.check(&outPoint)
			w.pending = w.pending[:len(w.pending)-1]
		})
	}
	w.publish(tx)
	w.lnd.hook("PublishTransaction", nil)
	w.pending = append(w.pending, tx)
}

// confirm mines one of our own spends.
func (w *world) confirm() {
	if len(w.pending) > 0 {
		w.chain.mine(w.pending[0])
	}
}

// abandon lets lnd drop our own spends.
func (w *world) abandon() {
	w.pending = nil
}

// replace mines another spend of what one of ours spends.
func (w *world) replace() {
	if len(w.pending) > 0 {
		w.chain.mine(w.spend(w.pending[0].TxIn[0].PreviousOutPoint))
	}
}

// serverSpends mines a spend that we have nothing to do with.
func (w *world) serverSpends() {
	if outPoint, ok := w.pick(); ok {
		w.chain.mine(w.spend(outPoint))
	}
}

// reorg replaces blocks by more of them, which hold some of what they held.
func (w *world) reorg() {
	depth := 1 + w.random.Intn(6)
	height := int(w.chain.height())
	if height-depth < historyStart {
		return
	}
	replaced := slices.Clone(w.chain.best[height-depth+1:])
	w.chain.disconnect(depth)
	kept := w.random.Intn(depth + 1)
	for _, block := range replaced[:kept] {
		w.chain.mine(block.Transactions[1:]...)
	}
	w.chain.mineEmpty(depth - kept + 1)
	w.imported = min(w.imported, w.chain.height()-1)
	w.known = make(map[wire.OutPoint]chainhash.Hash)
}

// rebuild makes lnd's wallet anew from its words, behind the same address, with
// or without our noticing.
func (w *world) rebuild() {
	w.imported, w.pending = w.chain.height(), nil
	if w.random.Intn(2) == 0 {
		w.restarted(false)
	}
}

// fallBehind lets the node lose its newest blocks, and catch up later.
func (w *world) fallBehind() {
	w.full = w.chain.best
	keep := len(w.full) - 1 - w.random.Intn(min(8, len(w.full)-2))
	w.chain.best = w.full[:keep:keep]
}

// turnBack puts an earlier ledger in the place of this one.
func (w *world) turnBack() {
	if w.old == nil {
		return
	}
	ledger := lndview.NewMemoryLedger()
	change := lndview.Change{Blocks: w.old.Trail}
	for _, output := range w.old.Outputs {
		change.Outputs = append(change.Outputs, output)
	}
	for _, script := range w.old.Scripts {
		change.Scripts = append(change.Scripts, script)
	}
	for _, publication := range w.old.Publications {
		change.Publications = append(change.Publications, publication)
	}
	require.NoError(w.t, ledger.Commit(w.t.Context(), change))
	w.ledger.MemoryLedger = ledger
	w.restarted(true)
}

// takeOver lets another owner, with a ledger of its own, take over.
func (w *world) takeOver() {
	w.ledger.MemoryLedger, w.rival = w.rival, w.ledger.MemoryLedger
	w.restarted(true)
}

// prove lets the walk from the birthday end.
func (w *world) prove() {
	w.runs++
	w.scanned(fmt.Sprint("run ", w.runs))
}

// step lets one thing happen, and checks what the embedded daemon is told.
// While the node is behind only what has nothing to do with the chain happens.
func (w *world) step(names []string) {
	name := names[w.random.Intn(len(names))]
	if w.full != nil {
		name = []string{
			"restart", "ledger lost", "ledger old", "other owner",
			"caught up",
		}[w.random.Intn(5)]
	}
	w.trail = append(w.trail, name)
	if name == "caught up" {
		w.chain.best, w.full = w.full, nil
	} else {
		events[name](w)
	}
	w.sync()
	w.check(nil)
}

// live lets a history happen and returns its world, and the first promise that
// was broken.
func live(t *testing.T, seed int64, mutant string) (*world, error) {
	w := newWorld(t, seed, mutant)
	var names []string
	for name := range events {
		names = append(names, name)
	}
	names = append(names, "deposit", "deposit", "proven", "own spend")
	slices.Sort(names)
	for range historySteps {
		w.step(names)
		if w.broken != nil {
			return w, fmt.Errorf("seed %d, after %q: %w", seed,
				w.trail, w.broken)
		}
	}

	return w, nil
}

// TestHistories compares what the embedded daemon is told with the truth while
// anything happens in any order: nothing that is there is left out, nothing
// that is spent comes back, nothing is told twice, and a healthy user is
// refused nothing.
func TestHistories(t *testing.T) {
	t.Parallel()

	answers, settled := 0, 0
	for seed := range int64(*historiesFlag) {
		w, err := live(t, seed, "")
		require.NoError(t, err)
		answers += w.answers
		settled += w.settledAnswers
	}

	// Both kinds of answers were judged, many times.
	require.Greater(t, settled, answers/10)
	require.Greater(t, answers-settled, answers/10)
	fmt.Printf("histories: n=%d omissions=0 revivals=0 duplicates=0 "+
		"refusals=0 (answers=%d, %d of them proven)\n",
		*historiesFlag, answers, settled)
}

// TestHistoriesNotice: each fault that was once there, or lies near, is noticed
// by the histories.
func TestHistoriesNotice(t *testing.T) {
	t.Parallel()

	for name := range lndview.Mutants {
		noticed := false
		for seed := int64(0); seed < 200 && !noticed; seed++ {
			_, err := live(t, seed, name)
			noticed = err != nil
		}
		require.True(t, noticed, name)
	}
}
