package lndview

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/chainscan"
)

// TrailLength is the number of block hashes kept behind the last followed
// block, to find the last common block of a reorg.
const TrailLength = 144

// Ledger keeps what a View knows across restarts. Both methods are called from
// several goroutines at once.
type Ledger interface {
	// Load returns everything that was committed. The caller owns the
	// snapshot.
	Load(ctx context.Context) (*Snapshot, error)

	// Commit stores a change with the effect of Snapshot.Apply. It is one
	// transaction: after a crash either all of it is there or nothing.
	Commit(ctx context.Context, change Change) error
}

// Script is what is known of one output script.
type Script struct {
	// PkScript is the output script.
	PkScript []byte

	// Pending and Blind are what older versions made of an import that was
	// begun, or turned out to be new. They prove nothing; older versions
	// speak for a script only if it is blind.
	Pending, Blind bool

	// Run is the id of the run whose scan was published last; empty if
	// none was, and then the script is not covered.
	Run string

	// Birthday is the height at which that scan began.
	Birthday int32
}

// Covered says whether the outputs of the script are known from the chain.
func (s Script) Covered() bool {
	return s.Run != ""
}

// Publication is a transaction that lnd accepted from us.
type Publication struct {
	// TxID is the transaction's hash.
	TxID chainhash.Hash

	// RawTx is the serialised transaction with its witness.
	RawTx []byte

	// Inputs are the outpoints it spends.
	Inputs []wire.OutPoint

	// Height is the height of the tip when the publication was first taken
	// into account, or 0 if that has not happened.
	Height int32

	// Listed says that lnd's wallet has listed the transaction since.
	Listed bool
}

// Snapshot is the content of a Ledger.
type Snapshot struct {
	// Scripts are the known scripts, by output script.
	Scripts map[string]Script

	// Outputs are the outputs of covered scripts, spent ones included.
	Outputs map[wire.OutPoint]chainscan.Output

	// Trail are the last followed blocks, ascending without a gap; the last
	// one is the block up to which Outputs is complete. It is empty while
	// no script is covered.
	Trail []chainscan.BlockStamp

	// Publications are our own spends that neither confirmed nor were
	// given up, by hash.
	Publications map[chainhash.Hash]Publication

	// Unproven says that a ledger before this one was lost, or cannot be
	// read, and that the addresses in place were not named since.
	Unproven bool
}

// NewSnapshot returns an empty snapshot.
func NewSnapshot() *Snapshot {
	return &Snapshot{
		Scripts:      make(map[string]Script),
		Outputs:      make(map[wire.OutPoint]chainscan.Output),
		Publications: make(map[chainhash.Hash]Publication),
	}
}

// Change is one change of a Ledger. Its parts take effect in the order of the
// fields.
type Change struct {
	// Replace are scripts whose outputs are removed: a new scan tells them
	// all.
	Replace [][]byte

	// RollbackTo, if not nil, is the last common block of a reorg: outputs
	// and spends above its height are removed, and it becomes the last
	// block of the trail.
	RollbackTo *chainscan.BlockStamp

	// ClearTrail removes the trail.
	ClearTrail bool

	// Outputs are stored; an output that is there already is replaced.
	Outputs []chainscan.Output

	// Blocks are appended to the trail, which is cut to TrailLength.
	Blocks []chainscan.BlockStamp

	// Scripts are stored; a script that is there already is replaced.
	Scripts []Script

	// Forget are publications that are removed.
	Forget []chainhash.Hash

	// Publications are stored; one that is there already is replaced.
	Publications []Publication

	// Named ends Snapshot.Unproven.
	Named bool
}

// Clone returns a copy that can be changed without changing the original. The
// byte slices within are shared and must not be written to.
func (s *Snapshot) Clone() *Snapshot {
	return &Snapshot{
		Scripts:      maps.Clone(s.Scripts),
		Outputs:      maps.Clone(s.Outputs),
		Trail:        slices.Clone(s.Trail),
		Publications: maps.Clone(s.Publications),
		Unproven:     s.Unproven,
	}
}

// Doubted returns what is left of a snapshot that may lack something: no scan
// has covered any script. What it claims
// to be spent or absent is not believed; a publication that is still waited for
// hides what it spends as long as lnd bears it out.
func (s *Snapshot) Doubted() *Snapshot {
	doubted := NewSnapshot()
	doubted.Unproven = true
	doubted.Publications = maps.Clone(s.Publications)
	for key, script := range s.Scripts {
		doubted.Scripts[key] = Script{
			PkScript: script.PkScript,
			Blind:    true,
		}
	}

	return doubted
}

// covers says whether the script of a deposit is covered. The output itself,
// where it is known, tells its script: the database does not.
func (s *Snapshot) covers(deposit Deposit) bool {
	pkScript := deposit.PkScript
	if output, ok := s.Outputs[deposit.OutPoint]; ok {
		pkScript = output.PkScript
	}

	return s.Scripts[string(pkScript)].Covered()
}

// Cursor returns the last followed block, and whether there is one.
func (s *Snapshot) Cursor() (chainscan.BlockStamp, bool) {
	if len(s.Trail) == 0 {
		return chainscan.BlockStamp{}, false
	}

	return s.Trail[len(s.Trail)-1], true
}

// Apply changes the snapshot. It is the definition of what a Ledger stores. An
// error wraps ErrBroken and leaves the snapshot in an undefined state.
func (s *Snapshot) Apply(change Change) error {
	for _, script := range change.Replace {
		s.removeOutputs(script)
	}
	if change.RollbackTo != nil {
		s.rollback(*change.RollbackTo)
	}
	if change.ClearTrail {
		s.Trail = nil
	}
	for _, output := range change.Outputs {
		s.Outputs[output.OutPoint] = output
	}
	if err := s.advance(change.Blocks); err != nil {
		return err
	}
	for _, script := range change.Scripts {
		s.Scripts[string(script.PkScript)] = script
	}
	for _, txID := range change.Forget {
		delete(s.Publications, txID)
	}
	for _, publication := range change.Publications {
		s.Publications[publication.TxID] = publication
	}
	if change.Named {
		s.Unproven = false
	}

	return s.Check()
}

// removeOutputs removes all outputs of a script.
func (s *Snapshot) removeOutputs(pkScript []byte) {
	maps.DeleteFunc(s.Outputs, func(_ wire.OutPoint,
		output chainscan.Output) bool {

		return string(output.PkScript) == string(pkScript)
	})
}

// rollback removes what was found above a block and makes it the last one.
func (s *Snapshot) rollback(to chainscan.BlockStamp) {
	for outPoint, output := range s.Outputs {
		switch {
		case output.Block.Height > to.Height:
			delete(s.Outputs, outPoint)

		case output.Spend != nil &&
			output.Spend.Block.Height > to.Height:

			output.Spend = nil
			s.Outputs[outPoint] = output
		}
	}

	s.Trail = slices.DeleteFunc(s.Trail, func(b chainscan.BlockStamp) bool {
		return b.Height > to.Height
	})
	if last, ok := s.Cursor(); !ok || last != to {
		s.Trail = []chainscan.BlockStamp{to}
	}
}

// advance appends blocks to the trail and cuts it.
func (s *Snapshot) advance(blocks []chainscan.BlockStamp) error {
	for _, block := range blocks {
		last, ok := s.Cursor()
		if ok && block.Height != last.Height+1 {
			return fmt.Errorf("%w: block %d after block %d",
				ErrBroken, block.Height, last.Height)
		}
		s.Trail = append(s.Trail, block)
	}
	if excess := len(s.Trail) - TrailLength; excess > 0 {
		s.Trail = slices.Delete(s.Trail, 0, excess)
	}

	return nil
}

// Check asserts what must hold between the parts of a snapshot.
func (s *Snapshot) Check() error {
	_, followed := s.Cursor()
	for _, script := range s.Scripts {
		if script.Covered() && !followed {
			return fmt.Errorf("%w: a covered script without a "+
				"followed block", ErrBroken)
		}
	}

	return nil
}
