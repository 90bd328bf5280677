package chainkit

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/lndclient"
	"github.com/lightningnetwork/lnd/lnrpc/chainrpc"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errPruned stands for a text that lnd passes on from its node.
var errPruned = status.Error(codes.Unknown, "-1: whatever the node says")

// fakeLnd is lnd with the genesis block and one more.
type fakeLnd struct {
	lndclient.ChainKitClient

	blocks  []*wire.MsgBlock
	missing error

	headersDown, tipDown bool
}

// newFakeLnd returns lnd with two blocks, the first of which is refused with
// the given error.
func newFakeLnd(missing error) *fakeLnd {
	genesis := chaincfg.RegressionNetParams.GenesisBlock
	next := *genesis
	next.Header.PrevBlock = genesis.BlockHash()

	return &fakeLnd{
		blocks:  []*wire.MsgBlock{genesis, &next},
		missing: missing,
	}
}

// RawClientWithMacAuth returns the raw client.
func (f *fakeLnd) RawClientWithMacAuth(ctx context.Context) (context.Context,
	time.Duration, chainrpc.ChainKitClient) {

	return ctx, time.Second, &rawLnd{lnd: f}
}

// GetBestBlock returns the tip.
func (f *fakeLnd) GetBestBlock(context.Context) (chainhash.Hash, int32,
	error) {

	return f.blocks[1].BlockHash(), 1, nil
}

// GetBlockHash returns the hash at a height.
func (f *fakeLnd) GetBlockHash(_ context.Context, height int64) (
	chainhash.Hash, error) {

	return f.blocks[height].BlockHash(), nil
}

// rawLnd is the raw client of a fakeLnd.
type rawLnd struct {
	chainrpc.ChainKitClient
	lnd *fakeLnd
}

// GetBlock returns a block.
func (r *rawLnd) GetBlock(_ context.Context, in *chainrpc.GetBlockRequest,
	_ ...grpc.CallOption) (*chainrpc.GetBlockResponse, error) {

	for i, blk := range r.lnd.blocks {
		hash := blk.BlockHash()
		if !bytes.Equal(hash[:], in.BlockHash) {
			continue
		}
		if i == 0 && r.lnd.missing != nil || i == 1 && r.lnd.tipDown {
			return nil, r.lnd.missing
		}

		var raw bytes.Buffer
		err := blk.Serialize(&raw)

		return &chainrpc.GetBlockResponse{RawBlock: raw.Bytes()}, err
	}

	return nil, errPruned
}

// GetBlockHeader returns a header.
func (r *rawLnd) GetBlockHeader(_ context.Context,
	in *chainrpc.GetBlockHeaderRequest, _ ...grpc.CallOption) (
	*chainrpc.GetBlockHeaderResponse, error) {

	if r.lnd.headersDown {
		return nil, errPruned
	}

	for _, blk := range r.lnd.blocks {
		hash := blk.BlockHash()
		if !bytes.Equal(hash[:], in.BlockHash) {
			continue
		}

		var raw bytes.Buffer
		err := blk.Header.Serialize(&raw)

		return &chainrpc.GetBlockHeaderResponse{
			RawBlockHeader: raw.Bytes(),
		}, err
	}

	return nil, errPruned
}

// TestSource reads blocks.
func TestSource(t *testing.T) {
	t.Parallel()

	lnd := newFakeLnd(nil)
	source := New(lnd)

	tip, err := source.BestBlock(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, tip.Height)

	hash, err := source.BlockHash(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, tip.Hash, hash)

	raw, err := source.Block(t.Context(), hash)
	require.NoError(t, err)

	var wanted bytes.Buffer
	require.NoError(t, lnd.blocks[1].Serialize(&wanted))
	require.Equal(t, wanted.Bytes(), raw)
}

// TestMissingBlock tells a block that the node lacks, which the user must know
// of, from trouble that passes.
func TestMissingBlock(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]struct {
		lnd     *fakeLnd
		period  time.Duration
		missing bool
	}{
		"pruned": {
			lnd: newFakeLnd(errPruned), missing: true,
		},
		"peers do not answer in time": {
			lnd: newFakeLnd(status.Error(
				codes.DeadlineExceeded, "",
			)),
			missing: true,
		},
		"not for long enough": {
			lnd: newFakeLnd(errPruned), period: time.Hour,
		},
		"lnd down": {
			lnd: newFakeLnd(status.Error(codes.Unavailable, "")),
		},
		"header gone too": {
			lnd: func() *fakeLnd {
				lnd := newFakeLnd(errPruned)
				lnd.headersDown = true

				return lnd
			}(),
		},
		"no blocks at all": {
			lnd: func() *fakeLnd {
				lnd := newFakeLnd(errPruned)
				lnd.tipDown = true

				return lnd
			}(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			source := New(test.lnd)
			source.period = test.period
			hash := test.lnd.blocks[0].BlockHash()

			var err error
			for attempt := range missAttempts {
				_, err = source.Block(t.Context(), hash)
				require.ErrorIs(t, err, test.lnd.missing)

				last := attempt == missAttempts-1
				require.Equal(
					t, test.missing && last,
					errors.Is(
						err,
						chainscan.ErrUnavailable,
					),
				)
			}
		})
	}
}

// TestMissForgotten: refusals count from the last time the block was had.
func TestMissForgotten(t *testing.T) {
	t.Parallel()

	lnd := newFakeLnd(errPruned)
	source := New(lnd)
	source.period = 0
	hash := lnd.blocks[0].BlockHash()

	refuse := func(times int) {
		for range times {
			_, err := source.Block(t.Context(), hash)
			require.NotErrorIs(t, err, chainscan.ErrUnavailable)
		}
	}

	refuse(missAttempts - 1)
	lnd.missing = nil
	_, err := source.Block(t.Context(), hash)
	require.NoError(t, err)

	lnd.missing = errPruned
	refuse(missAttempts - 1)
}

// TestNoConnection: without a connection every call fails, in a way that
// passes, and the refusals counted before are kept over it.
func TestNoConnection(t *testing.T) {
	t.Parallel()

	errDown := errors.New("lnd is not connected")
	lnd, down := newFakeLnd(errPruned), false
	source := NewFunc(func() (lndclient.ChainKitClient, error) {
		if down {
			return nil, errDown
		}

		return lnd, nil
	})
	source.period = 0
	hash := lnd.blocks[0].BlockHash()

	for range missAttempts - 1 {
		_, err := source.Block(t.Context(), hash)
		require.NotErrorIs(t, err, chainscan.ErrUnavailable)
	}

	down = true
	_, err := source.BestBlock(t.Context())
	require.ErrorIs(t, err, errDown)
	_, err = source.BlockHash(t.Context(), 0)
	require.ErrorIs(t, err, errDown)
	_, err = source.Block(t.Context(), hash)
	require.ErrorIs(t, err, errDown)
	require.NotErrorIs(t, err, chainscan.ErrUnavailable)

	down = false
	_, err = source.Block(t.Context(), hash)
	require.ErrorIs(t, err, chainscan.ErrUnavailable)
}
