package fakelnd

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnrpc/chainrpc"
)

// TipHeight is the height of the chain.
const TipHeight = 100

// Header returns the header of the block at a height: one every ten minutes.
func Header(height int64) wire.BlockHeader {
	return wire.BlockHeader{
		Timestamp: time.Unix(1_700_000_000+600*height, 0),
	}
}

// TipHash is the hash of the tip.
func TipHash() chainhash.Hash {
	header := Header(TipHeight)

	return header.BlockHash()
}

// chainServer is chainrpc.ChainKit.
type chainServer struct {
	chainrpc.UnimplementedChainKitServer
}

// GetBestBlock returns the tip.
func (s *chainServer) GetBestBlock(context.Context,
	*chainrpc.GetBestBlockRequest) (*chainrpc.GetBestBlockResponse, error) {

	hash := TipHash()

	return &chainrpc.GetBestBlockResponse{
		BlockHash: hash[:], BlockHeight: TipHeight,
	}, nil
}

// GetBlockHash returns the hash of a block.
func (s *chainServer) GetBlockHash(_ context.Context,
	request *chainrpc.GetBlockHashRequest) (*chainrpc.GetBlockHashResponse,
	error) {

	if request.BlockHeight > TipHeight {
		return nil, errors.New("no such block")
	}
	header := Header(request.BlockHeight)
	hash := header.BlockHash()

	return &chainrpc.GetBlockHashResponse{BlockHash: hash[:]}, nil
}

// GetBlockHeader returns the header of a block.
func (s *chainServer) GetBlockHeader(_ context.Context,
	request *chainrpc.GetBlockHeaderRequest) (
	*chainrpc.GetBlockHeaderResponse, error) {

	for height := range int64(TipHeight + 1) {
		header := Header(height)
		hash := header.BlockHash()
		if !bytes.Equal(hash[:], request.BlockHash) {
			continue
		}
		var raw bytes.Buffer
		err := header.Serialize(&raw)

		return &chainrpc.GetBlockHeaderResponse{
			RawBlockHeader: raw.Bytes(),
		}, err
	}

	return nil, errors.New("no such block")
}

// notifyServer is chainrpc.ChainNotifier.
type notifyServer struct {
	chainrpc.UnimplementedChainNotifierServer
}

// RegisterBlockEpochNtfn sends the tip and waits for the client to go.
func (s *notifyServer) RegisterBlockEpochNtfn(_ *chainrpc.BlockEpoch,
	stream chainrpc.ChainNotifier_RegisterBlockEpochNtfnServer) error {

	hash := TipHash()
	err := stream.Send(&chainrpc.BlockEpoch{
		Hash: hash[:], Height: TipHeight,
	})
	if err != nil {
		return err
	}
	<-stream.Context().Done()

	return nil
}
