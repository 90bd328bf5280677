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

// confirmations returns the number of confirmations at a tip.
func (s *standing) confirmations(tip int32) int64 {
	if s.height <= 0 {
		return 0
	}

	return int64(tip) - int64(s.height) + 1
}

// answer is what is true at one tip.
type answer struct {
	// tip is the tip of the chain.
	tip chainscan.BlockStamp

	// state is the state at that tip.
	state *Snapshot

	// listed are all outputs that lnd lists as unspent.
	listed []*lnwallet.Utxo

	// unspent are the outputs to add to these.
	unspent []standing

	// wallet is what lnd's wallet knows.
	wallet *walletTxs
}

// silent says whether lnd's own answers stand for every script.
func (v *View) silent() bool {
	state := v.state.Load()
	if state.Unproven {
		return false
	}
	for _, script := range state.Scripts {
		if script.Speaks() {
			return false
		}
	}

	return true
}

// settled computes an answer and calls ask, which asks lnd what the caller
// wants to know, in between: the chain's tip is the same before and after. With
// history lnd's transactions are read as far back as any known output goes. The
// caller holds the turn.
func (v *View) settled(ctx context.Context, lnd *services, history bool,
	ask func() error) (*answer, error) {

	for range maxAttempts {
		before, err := lnd.tip(ctx)
		if err != nil {
			return nil, err
		}

		result, err := v.answerAt(ctx, lnd, before, history, ask)
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			return nil, err
		}

		after, err := lnd.tip(ctx)
		if err != nil {
			return nil, err
		}
		if after == before {
			v.provisional.Store(result.provisional())

			return result, nil
		}
	}

	return nil, ErrUnsettled
}

// answerAt computes the answer at a tip.
func (v *View) answerAt(ctx context.Context, lnd *services,
	tip chainscan.BlockStamp, history bool, ask func() error) (*answer,
	error) {

	v.mend(ctx)
	if err := v.follow(ctx, tip); err != nil {
		return nil, err
	}
	candidates, err := v.candidates(ctx, tip.Height)
	if err != nil {
		return nil, err
	}
	if err := ask(); err != nil {
		return nil, err
	}

	result := &answer{tip: tip}
	from := lowest(candidates)
	if history {
		from = min(from, earliest(v.state.Load()))
	}
	if err := result.ask(ctx, lnd, from); err != nil {
		return nil, err
	}

	err = v.settlePublications(ctx, tip, result.wallet, candidates)
	if err != nil {
		return nil, err
	}
	result.state = v.state.Load()
	result.choose(candidates)

	return result, nil
}

// ask asks lnd what its wallet lists, and for its transactions from a height on.
func (a *answer) ask(ctx context.Context, lnd *services, from int32) error {
	var err error
	a.listed, err = lnd.wallet.ListUnspent(ctx, 0, math.MaxInt32)
	if err != nil {
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
// database, tells.
func (v *View) candidates(ctx context.Context, tip int32) ([]standing, error) {
	var (
		state      = v.state.Load()
		candidates []standing
	)
	for _, output := range state.Outputs {
		script := state.Scripts[string(output.PkScript)]
		if output.Spend != nil || !script.Covered() {
			continue
		}

		mature, err := isMature(output, tip)
		if err != nil {
			return nil, err
		}
		if mature {
			candidates = append(candidates, standing{
				outPoint: output.OutPoint,
				pkScript: output.PkScript,
				value:    output.Value,
				height:   output.Block.Height,
			})
		}
	}

	rows, err := v.provisionalRows(ctx)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if row.height > tip {
			return nil, &TipError{
				OutPoint: row.outPoint, Height: row.height,
				Tip: tip,
			}
		}
	}

	return append(candidates, rows...), nil
}

// provisionalRows returns the live rows of the scripts that lnd's wallet is
// blind for and no scan has covered, once each.
func (v *View) provisionalRows(ctx context.Context) ([]standing, error) {
	state := v.state.Load()
	if !state.anyBlind() {
		return nil, nil
	}

	deposits, err := v.cfg.Rows.LiveDeposits(ctx)
	if err != nil {
		return nil, fmt.Errorf("unable to read the deposits of the "+
			"database; nothing was reported: %w", err)
	}

	var (
		rows []standing
		seen = make(map[wire.OutPoint]bool, len(deposits))
	)
	for _, deposit := range deposits {
		if !state.blind(deposit.PkScript) || seen[deposit.OutPoint] {
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

// choose keeps the candidates that are to be added to lnd's own list.
func (a *answer) choose(candidates []standing) {
	listed := outPoints(a.listed)
	for _, candidate := range candidates {
		outPoint := candidate.outPoint

		// What lnd's wallet holds as its own is lnd's to report,
		// absence included.
		if listed[outPoint] || a.wallet.owns(outPoint) {
			continue
		}
		if a.hidden(outPoint) {
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
