//go:build failpoint

package loopd

import (
	"bytes"
	"context"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/internal/failpoint"
	"github.com/looprecovery/looprecovery/recoverydb"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/stretchr/testify/require"
)

// genesisChain is a chain of one block.
type genesisChain struct{}

// genesis is the block.
var genesis = chaincfg.RegressionNetParams.GenesisBlock

// Name implements chainscan.Source.
func (genesisChain) Name() string {
	return "genesis"
}

// BestBlock implements chainscan.Source.
func (genesisChain) BestBlock(context.Context) (chainscan.BlockStamp, error) {
	return chainscan.BlockStamp{Hash: genesis.BlockHash()}, nil
}

// BlockHash implements chainscan.Source.
func (genesisChain) BlockHash(context.Context, int32) (chainhash.Hash, error) {
	return genesis.BlockHash(), nil
}

// Block implements chainscan.Source.
func (genesisChain) Block(context.Context, chainhash.Hash) ([]byte, error) {
	var raw bytes.Buffer
	err := genesis.Serialize(&raw)

	return raw.Bytes(), err
}

// oneScript is a family of one script.
type oneScript struct{}

// ID implements chainscan.Family.
func (oneScript) ID() int32 {
	return 1
}

// Script implements chainscan.Family.
func (oneScript) Script(uint32) ([]byte, error) {
	return append(
		[]byte{txscript.OP_1, txscript.OP_DATA_32}, make([]byte, 32)...,
	), nil
}

// Fixed implements chainscan.Family.
func (oneScript) Fixed() (uint32, bool) {
	return 0, true
}

// TestFailpoints shows that a scan passes every point that is declared for this
// package, with what it found durable.
func TestFailpoints(t *testing.T) {
	journal, err := recoverydb.Open(filepath.Join(t.TempDir(), "r.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, journal.Close()) }()
	d := &Daemon{
		cfg: &Config{}, source: genesisChain{}, journal: journal,
	}
	d.engine = recoveryfsm.New(recoveryfsm.Config{
		Journal: journal.Journal(),
	})
	defer d.engine.Stop()

	const runID = "00000000000000000000000000000001"
	passed := make(map[string]bool)
	defer failpoint.SetForTest(func(name string) {
		passed[name] = true
		cursor, _, err := journal.Checkpoint(runID).Load(t.Context())
		require.NoError(t, err)
		require.NotNil(t, cursor)
	})()

	_, err = (&scannerPort{daemon: d}).Scan(
		t.Context(), runID, actions.ScanRequest{
			Families:  []chainscan.Family{oneScript{}},
			LookAhead: 1,
		},
	)
	require.NoError(t, err)
	require.ElementsMatch(t, failpoint.OfDaemon(),
		slices.Collect(maps.Keys(passed)))
}
