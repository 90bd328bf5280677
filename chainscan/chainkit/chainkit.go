package chainkit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightninglabs/lndclient"
	"github.com/lightningnetwork/lnd/lnrpc/chainrpc"
	"github.com/looprecovery/looprecovery/chainscan"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// sourceName is what coverage reports call this source.
	sourceName = "lnd chainkit"

	// headerSize is the size of a serialised block header, in bytes.
	headerSize = 80

	// missAttempts and missPeriod are how often, and over how long a time,
	// a block must be refused before it counts as missing from the node.
	missAttempts = 5
	missPeriod   = 10 * time.Second

	// maxMisses bounds the number of blocks whose refusals are counted.
	maxMisses = 1_024
)

// Source reads the chain through lnd. It is safe for concurrent use. It counts
// refusals, so one Source must serve a whole scan.
type Source struct {
	// connect returns the client of the moment.
	connect func() (lndclient.ChainKitClient, error)

	// attempts and period are missAttempts and missPeriod.
	attempts int
	period   time.Duration

	mu     sync.Mutex
	misses map[chainhash.Hash]*miss
}

// miss counts the refusals of a block since it was last had.
type miss struct {
	count int
	first time.Time
}

var _ chainscan.Source = (*Source)(nil)

// New returns a source over lnd's ChainKit.
func New(client lndclient.ChainKitClient) *Source {
	return NewFunc(func() (lndclient.ChainKitClient, error) {
		return client, nil
	})
}

// NewFunc returns a source over the ChainKit that connect returns at each call,
// for a connection to lnd that can come and go. Its errors are passing ones.
func NewFunc(connect func() (lndclient.ChainKitClient, error)) *Source {
	return &Source{
		connect:  connect,
		attempts: missAttempts,
		period:   missPeriod,
		misses:   make(map[chainhash.Hash]*miss),
	}
}

// Name names the source.
func (s *Source) Name() string {
	return sourceName
}

// BestBlock returns the tip of the best chain.
func (s *Source) BestBlock(ctx context.Context) (chainscan.BlockStamp, error) {
	client, err := s.connect()
	if err != nil {
		return chainscan.BlockStamp{}, err
	}

	hash, height, err := client.GetBestBlock(ctx)
	if err != nil {
		return chainscan.BlockStamp{}, err
	}

	return chainscan.BlockStamp{
		Height: height,
		Hash:   hash,
	}, nil
}

// BlockHash returns the hash of the best chain's block at a height.
func (s *Source) BlockHash(ctx context.Context, height int32) (chainhash.Hash,
	error) {

	client, err := s.connect()
	if err != nil {
		return chainhash.Hash{}, err
	}

	return client.GetBlockHash(ctx, int64(height))
}

// Block returns the serialised block with the given hash. The error wraps
// chainscan.ErrUnavailable if lnd's node lacks the block.
//
// lnd passes the error of its node on as text, and what a pruned node says
// depends on the node. So it is found out: the block is missing if it is
// refused again and again while its header and the block at the tip are there.
func (s *Source) Block(ctx context.Context, hash chainhash.Hash) ([]byte,
	error) {

	raw, err := s.block(ctx, hash)
	if err == nil {
		s.forget(hash)

		return raw, nil
	}

	if !refused(err) || !s.hasHeader(ctx, hash) || !s.overdue(hash) ||
		!s.hasTip(ctx) {

		return nil, err
	}

	return nil, fmt.Errorf("%w: lnd's node has its header, but not the "+
		"block: %w", chainscan.ErrUnavailable, err)
}

// block asks lnd for a block.
func (s *Source) block(ctx context.Context, hash chainhash.Hash) ([]byte,
	error) {

	lnd, err := s.connect()
	if err != nil {
		return nil, err
	}
	rpcCtx, timeout, client := lnd.RawClientWithMacAuth(ctx)
	rpcCtx, cancel := context.WithTimeout(rpcCtx, timeout)
	defer cancel()

	response, err := client.GetBlock(rpcCtx, &chainrpc.GetBlockRequest{
		BlockHash: hash[:],
	})
	if err != nil {
		return nil, err
	}

	return response.RawBlock, nil
}

// refused tells whether an error can be the node's answer about the block, or
// the lack of one in time: lnd gives errors of its node no code of their own.
func refused(err error) bool {
	switch status.Code(err) {
	case codes.Unknown, codes.NotFound, codes.Internal,
		codes.DeadlineExceeded:

		return true
	}

	return false
}

// hasHeader tells whether the node knows the header of a block.
func (s *Source) hasHeader(ctx context.Context, hash chainhash.Hash) bool {
	lnd, err := s.connect()
	if err != nil {
		return false
	}
	rpcCtx, timeout, client := lnd.RawClientWithMacAuth(ctx)
	rpcCtx, cancel := context.WithTimeout(rpcCtx, timeout)
	defer cancel()

	response, err := client.GetBlockHeader(
		rpcCtx, &chainrpc.GetBlockHeaderRequest{BlockHash: hash[:]},
	)
	if err != nil {
		return false
	}
	header := response.RawBlockHeader

	return len(header) == headerSize &&
		chainhash.DoubleHashH(header) == hash
}

// hasTip tells whether the node gives blocks at all.
func (s *Source) hasTip(ctx context.Context) bool {
	tip, err := s.BestBlock(ctx)
	if err != nil {
		return false
	}
	_, err = s.block(ctx, tip.Hash)

	return err == nil
}

// overdue counts a refusal and tells whether there were enough of them.
func (s *Source) overdue(hash chainhash.Hash) bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	known := s.misses[hash]
	if known == nil {
		if len(s.misses) >= maxMisses {
			clear(s.misses)
		}
		known = &miss{first: time.Now()}
		s.misses[hash] = known
	}
	known.count++

	return known.count >= s.attempts && time.Since(known.first) >= s.period
}

// forget ends the counting of a block's refusals.
func (s *Source) forget(hash chainhash.Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()

	delete(s.misses, hash)
}
