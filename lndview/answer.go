package lndview

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwallet"
	"github.com/looprecovery/looprecovery/chainscan"
)

const (
	// maxAttempts is how often one answer is begun again because the chain
	// moved under it.
	maxAttempts = 5

	// heightSlack is how far below the lowest known height of an output
	// lnd's transactions are read, in blocks. Heights of rows come from
	// another source than the chain, and a reorg can lower one.
	heightSlack = 144

	// coinbaseMaturity is the number of confirmations below which consensus
	// forbids to spend a coinbase output.
	coinbaseMaturity = 100
)

// standing is an output that is to be reported as unspent.
type standing struct {
	outPoint wire.OutPoint
	pkScript []byte
	value    btcutil.Amount

	// height is the height of the funding block, 0 if unconfirmed.
	height int32

	// provisional tells a row of the database from a proven output.
	provisional bool
}

// confirmations returns the number of confirmations at a tip. An output that
// confirmed above it, on a node that is catching up, has one: with none its
// height would be forgotten.
func (s *standing) confirmations(tip int32) int64 {
	if s.height <= 0 {
		return 0
	}

	return max(int64(tip)-int64(s.height)+1, 1)
}

// answer is what is true at one tip.
type answer struct {
	// tip is the tip of the chain.
	tip chainscan.BlockStamp

	// history says that the transactions of all known outputs are wanted.
	history bool

	// behind says that the chain was not followed to the tip.
	behind bool

	// state is the state at that tip.
	state *Snapshot

	// listed are all outputs that lnd lists as unspent. If nothing is
	// missing among them, and lnd was asked for no more since, utxos is
	// its list.
	listed map[wire.OutPoint]bool
	utxos  []*lnwallet.Utxo

	// unspent are the outputs to add to these.
	unspent []standing

	// wallet is what lnd's wallet knows.
	wallet *walletTxs
}

// silent says whether there is nothing to stand for: no address is in place,
// and none was covered.
func (v *View) silent() bool {
	places := v.places.Load()
	if places == nil || len(*places) > 0 {
		return false
	}
	for _, script := range v.state.Load().Scripts {
		if script.Covered() {
			return false
		}
	}

	return true
}

// settled computes an answer: what lnd is asked by the caller, and what is to
// be added to that. The chain's tip is the same before and after; if it never
// rests, or the chain cannot be followed to it, the answer is provisional. With
// history lnd's transactions are read as far back as any known output goes. The
// caller holds the turn.
func (v *View) settled(ctx context.Context, lnd *services, history bool,
	ask func(*answer) error) (*answer, error) {

	for attempt := 1; ; attempt++ {
		tip, err := lnd.tip(ctx)
		if err != nil {
			return nil, err
		}

		result := &answer{
			tip:     tip,
			history: history,
			behind:  attempt == maxAttempts,
		}
		err = v.answerAt(ctx, lnd, result, ask)
		switch {
		case errors.Is(err, errMoved) && attempt < maxAttempts:
			continue

		case err != nil:
			return nil, err
		}

		after, err := lnd.tip(ctx)
		switch {
		case err != nil:
			return nil, err

		case after == tip || attempt == maxAttempts:
			v.provisional.Store(result.provisional())
			v.show(result)

			return result, nil
		}
	}
}

// answerAt computes the answer at a tip.
//
// lnd's transactions are read first, then what the caller asks for, and that is
// completed: whatever lnd learns of in between is in its own answer.
func (v *View) answerAt(ctx context.Context, lnd *services, result *answer,
	ask func(*answer) error) error {

	v.mend(ctx)
	if err := v.followFor(ctx, result); err != nil {
		return err
	}
	deposits, err := v.liveDeposits(ctx)
	if err != nil {
		return err
	}
	v.lookAbove(deposits, result)
	candidates, err := v.candidates(
		deposits, result.tip.Height, result.behind,
	)
	if err != nil {
		return err
	}
	publishing := v.publishing()
	if v.has(twoMoments) {
		err = errors.Join(
			ask(result), result.ask(ctx, lnd, v, candidates),
		)
	} else {
		err = result.ask(ctx, lnd, v, candidates)
		if err == nil {
			err = ask(result)
		}
	}
	if err != nil {
		return err
	}

	err = v.settlePublications(ctx, result.tip, result.wallet, candidates)
	if err != nil {
		return err
	}
	result.state = v.state.Load()
	result.choose(candidates, publishing)

	return nil
}

// followFor follows the chain to the tip of an answer. One that cannot be
// followed makes the answer provisional; only the caller's leaving, or a tip
// that is none any more, is an error.
func (v *View) followFor(ctx context.Context, result *answer) error {
	err := v.follow(ctx, result.tip, maxLazyBlocks)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()

	case errors.Is(err, errMoved):
		err = nil
		if !result.behind {
			return errMoved
		}
	}
	if err != nil {
		result.behind = true
		v.lag(err)

		return nil
	}
	if !result.behind {
		v.lag(nil)
	}

	return nil
}

// ask asks lnd what its wallet lists and, if that lacks a candidate, for its
// transactions from where they tell what became of it. A wallet that lists all
// that is there is asked for no more.
func (a *answer) ask(ctx context.Context, lnd *services, v *View,
	candidates []standing) error {

	listed, err := lnd.wallet.ListUnspent(ctx, 0, math.MaxInt32)
	if err != nil {
		return err
	}
	a.listed = outPoints(listed)

	missing := slices.DeleteFunc(slices.Clone(candidates),
		func(candidate standing) bool {
			return a.listed[candidate.outPoint]
		})
	from := lowest(missing)
	switch {
	case a.history:
		from = min(from, earliest(v.state.Load()))

	case len(missing) == 0 && !v.waits():
		a.utxos = listed
		a.wallet, err = newWalletTxs(nil)

		return err
	}

	txs, err := lnd.client.ListTransactions(ctx, from, -1)
	if err != nil {
		return err
	}
	a.wallet, err = newWalletTxs(txs)

	return err
}

// candidates returns every output that is unspent as far as the chain, or the
// database, tells. While the chain is not followed to the tip none of them is
// proven, and what the database holds is among them.
func (v *View) candidates(deposits []Deposit, tip int32, behind bool) (
	[]standing, error) {

	var (
		state      = v.state.Load()
		candidates []standing
	)
	for _, output := range state.Outputs {
		script := state.Scripts[string(output.PkScript)]
		if output.Spend != nil || !script.Covered() ||
			v.has(trustsProof) {

			continue
		}

		mature, err := isMature(output, tip)
		if err != nil {
			return nil, err
		}
		if mature {
			candidates = append(candidates, standing{
				outPoint:    output.OutPoint,
				pkScript:    output.PkScript,
				value:       output.Value,
				height:      output.Block.Height,
				provisional: behind,
			})
		}
	}

	rows, err := v.provisionalRows(deposits, behind)

	return append(candidates, rows...), err
}

// liveDeposits reads the live rows of the database.
func (v *View) liveDeposits(ctx context.Context) ([]Deposit, error) {
	deposits, err := v.cfg.Rows.LiveDeposits(ctx)
	if err != nil {
		return nil, fmt.Errorf("unable to read the deposits of the "+
			"database; nothing was reported: %w", err)
	}

	return deposits, nil
}

// lookAbove makes an answer provisional if a deposit confirmed above its tip:
// the node is behind, whatever was followed.
func (v *View) lookAbove(deposits []Deposit, result *answer) {
	for _, deposit := range deposits {
		height := int32(min(deposit.ConfirmationHeight, math.MaxInt32))
		if height <= result.tip.Height || result.behind {
			continue
		}
		result.behind = true
		v.lag(&BehindError{
			Followed: chainscan.BlockStamp{Height: height},
			Tip:      result.tip,
		})
	}
}

// provisionalRows returns the live rows that nothing is proven of, once each:
// those of scripts that no scan has covered and, while the chain is not
// followed to the tip, those of which no block is known.
func (v *View) provisionalRows(deposits []Deposit, behind bool) ([]standing,
	error) {

	state := v.state.Load()
	settled := !behind && v.allCovered() && !v.has(doubtsProof)
	if settled || behind && v.has(behindIsLess) {
		return nil, nil
	}

	var (
		rows []standing
		seen = make(map[wire.OutPoint]bool, len(deposits))
	)
	for _, deposit := range deposits {
		covered := state.covers(deposit) && !v.has(doubtsProof)
		_, known := state.Outputs[deposit.OutPoint]
		if covered && (known || !behind) || seen[deposit.OutPoint] {
			continue
		}
		seen[deposit.OutPoint] = true

		height := deposit.ConfirmationHeight
		if height < 0 || height > math.MaxInt32 {
			return nil, fmt.Errorf("deposit %v has the height %d "+
				"in the database; nothing was reported",
				deposit.OutPoint, height)
		}
		rows = append(rows, standing{
			outPoint:    deposit.OutPoint,
			pkScript:    deposit.PkScript,
			value:       deposit.Value,
			height:      int32(height),
			provisional: true,
		})
	}

	return rows, nil
}

// choose keeps the candidates that are to be added to lnd's own list. What is
// being published is neither gone nor spent until lnd has said so: an lnd on
// neutrino drops it from its list while it still waits for a peer.
func (a *answer) choose(candidates []standing,
	publishing map[wire.OutPoint]bool) {

	for _, candidate := range candidates {
		outPoint := candidate.outPoint
		switch {
		// What lnd's wallet holds as its own is lnd's to report,
		// absence included.
		case a.listed[outPoint]:
			continue

		case publishing[outPoint]:

		case a.wallet.owns(outPoint) || a.hidden(outPoint):
			continue
		}
		a.unspent = append(a.unspent, candidate)
	}
}

// hidden says whether a spend that is not in a block hides an output. See the
// package documentation for the rules.
func (a *answer) hidden(outPoint wire.OutPoint) bool {
	for _, spender := range a.wallet.spenders(outPoint) {
		if !conflicted(a.state, spender.txID, spender.inputs) {
			return true
		}
	}
	for _, publication := range a.state.Publications {
		if slices.Contains(publication.Inputs, outPoint) {
			return true
		}
	}

	return false
}

// provisional returns the number of outputs that are reported without proof.
func (a *answer) provisional() int32 {
	var count int32
	for _, output := range a.unspent {
		if output.provisional {
			count++
		}
	}

	return count
}

// isMature says whether consensus allows to spend an output in the block after
// the tip, as far as coinbase maturity goes.
func isMature(output chainscan.Output, tip int32) (bool, error) {
	if tip-output.Block.Height+1 >= coinbaseMaturity {
		return true, nil
	}

	tx, err := parseTx(output.FundingTx, output.OutPoint.Hash)
	if err != nil {
		return false, err
	}

	return !blockchain.IsCoinBaseTx(tx), nil
}

// lowest returns the height from which on lnd's transactions tell the fate of
// the candidates.
func lowest(candidates []standing) int32 {
	height := int32(math.MaxInt32)
	for _, candidate := range candidates {
		height = min(height, candidate.height)
	}

	return max(height-heightSlack, 0)
}

// earliest returns the height from which on lnd's transactions can be ones that
// concern a known output.
func earliest(state *Snapshot) int32 {
	height := int32(math.MaxInt32)
	for _, output := range state.Outputs {
		height = min(height, output.Block.Height)
	}

	return max(height-heightSlack, 0)
}

// tip returns the tip of lnd's chain.
func (s *services) tip(ctx context.Context) (chainscan.BlockStamp, error) {
	hash, height, err := s.chainKit.GetBestBlock(ctx)
	if err != nil {
		return chainscan.BlockStamp{}, err
	}

	return chainscan.BlockStamp{Height: height, Hash: hash}, nil
}

// outPoints returns the outpoints of a list.
func outPoints(utxos []*lnwallet.Utxo) map[wire.OutPoint]bool {
	listed := make(map[wire.OutPoint]bool, len(utxos))
	for _, utxo := range utxos {
		listed[utxo.OutPoint] = true
	}

	return listed
}
