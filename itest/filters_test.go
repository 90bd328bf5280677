package itest

import (
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/chainscan/btcrpc"
	"github.com/looprecovery/looprecovery/chainscan/sourcetest"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/stretchr/testify/require"
)

// nodeOptions are the options by which loopd asks the node itself.
func nodeOptions(node *regtest.Btcd) []string {
	host, user, password, certPath := node.RPC()

	return []string{
		"--recovery.node.host=" + host,
		"--recovery.node.user=" + user,
		"--recovery.node.pass=" + password,
		"--recovery.node.cert=" + certPath,
	}
}

// TestStoryBByFilters: the machine is gone, as in TestStoryBBothLost, and the
// configuration of the new one names the btcd that lnd uses. If this breaks, a
// restore of a year of blocks takes hours instead of minutes, or what filters
// rule out is more than nothing.
func TestStoryBByFilters(t *testing.T) {
	s := newStory(t)
	loopd := s.bothLost(nodeOptions(s.Btcd), func() {})

	coverage := s.recovery(loopd).Run.Coverage
	require.Contains(t, coverage.Source, "the filters of btcd at")
	walked := coverage.TipHeight - coverage.Birthday + 1
	require.Less(t, coverage.Blocks, uint64(walked))

	source := s.requireConforms(s.Btcd)
	require.NoError(t, source.Probe(t.Context()))
}

// requireConforms holds btcd's RPC to the contract of sources.
func (s *story) requireConforms(node *regtest.Btcd) *btcrpc.Source {
	s.Helper()

	host, user, password, certPath := node.RPC()
	source, err := btcrpc.New(btcrpc.Config{
		Host: host, User: user, Password: password, CertPath: certPath,
	})
	require.NoError(s, err)

	var blocks []*wire.MsgBlock
	err = node.EachBlock(0, func(_ int32, block *btcutil.Block) {
		blocks = append(blocks, block.MsgBlock())
	})
	require.NoError(s, err)
	chain := sourcetest.ChainOf(blocks)
	sourcetest.TestSource(s.T, source, chain)
	sourcetest.TestFilters(s.T, source, chain)

	return source
}
