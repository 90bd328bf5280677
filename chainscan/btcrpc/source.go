package btcrpc

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/looprecovery/looprecovery/chainscan"
)

// maxRange is the largest number of filters that is asked for at once.
const maxRange = 100

// ErrNoFilters says that a node has no index of compact filters.
var ErrNoFilters = errors.New("the node has no index of compact filters")

// Source reads the chain from a node. It is safe for concurrent use.
type Source struct {
	client *client

	// dialect is how the node is asked for filters; nil before Probe.
	dialect atomic.Pointer[dialect]
}

// Source can give all that a scan asks for.
var (
	_ chainscan.Source       = (*Source)(nil)
	_ chainscan.FilterSource = (*Source)(nil)
)

// New returns a source over a node. It makes no call.
func New(cfg Config) (*Source, error) {
	client, err := newClient(cfg)
	if err != nil {
		return nil, err
	}

	return &Source{client: client}, nil
}

// Name names the source.
func (s *Source) Name() string {
	name := "the node"
	if dialect := s.dialect.Load(); dialect != nil {
		name = dialect.node
	}

	return fmt.Sprintf("%s at %s", name, s.client.cfg.Host)
}

// Probe asks the node whether it can be used, and finds out which it is. The
// error is ErrNoFilters if it gives blocks and no filters.
func (s *Source) Probe(ctx context.Context) error {
	best, err := s.bestHash(ctx)
	if err != nil {
		return err
	}
	replies, err := s.client.batch(ctx, []call{
		btcd.filterCall(best), bitcoind.filterCall(best),
	})
	if err != nil {
		return err
	}

	// What a node knows neither method of has no filters, whatever it is.
	speaks, refusal := btcd, replies[0].Error
	if unknown := replies[0].Error; unknown != nil &&
		unknown.Code == codeNoMethod {

		speaks, refusal = bitcoind, replies[1].Error
	}
	s.dialect.Store(speaks)
	if refusal != nil {
		return fmt.Errorf("%w: %w", ErrNoFilters, refusal)
	}

	return nil
}

// BestBlock returns the tip of the best chain.
func (s *Source) BestBlock(ctx context.Context) (chainscan.BlockStamp, error) {
	var (
		info struct {
			Blocks int32  `json:"blocks"`
			Hash   string `json:"bestblockhash"`
		}
		stamp chainscan.BlockStamp
	)
	err := s.ask(ctx, "getblockchaininfo", &info)
	if err != nil {
		return stamp, err
	}
	stamp.Height = info.Blocks
	stamp.Hash, err = parseHash(info.Hash)

	return stamp, err
}

// bestHash returns the hash of the tip, as text.
func (s *Source) bestHash(ctx context.Context) (string, error) {
	var hash string
	err := s.ask(ctx, "getbestblockhash", &hash)

	return hash, err
}

// BlockHash returns the hash of the best chain's block at a height.
func (s *Source) BlockHash(ctx context.Context, height int32) (chainhash.Hash,
	error) {

	var text string
	if err := s.ask(ctx, "getblockhash", &text, height); err != nil {
		return chainhash.Hash{}, err
	}

	return parseHash(text)
}

// Block returns the serialised block with the given hash. The error wraps
// chainscan.ErrUnavailable if the node does not know it or has pruned it.
func (s *Source) Block(ctx context.Context, hash chainhash.Hash) ([]byte,
	error) {

	var text string
	err := s.ask(ctx, "getblock", &text, hash.String(), 0)

	var answered *Error
	if errors.As(err, &answered) && (answered.Code == codeMisc ||
		answered.Code == codeNotFound) {

		return nil, fmt.Errorf("%w: %s: %w", chainscan.ErrUnavailable,
			s.Name(), err)
	}
	if err != nil {
		return nil, err
	}

	return decodeHex(text)
}

// ask makes one call and decodes its answer.
func (s *Source) ask(ctx context.Context, method string, result any,
	params ...any) error {

	replies, err := s.client.batch(ctx, []call{
		{method: method, params: append([]any{}, params...)},
	})
	if err == nil {
		err = replies[0].decode(result)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}

	return nil
}

// decode decodes an answer, or returns the node's error.
func (r *reply) decode(result any) error {
	if r.Error != nil {
		return r.Error
	}
	if err := json.Unmarshal(r.Result, result); err != nil {
		return fmt.Errorf("%w: %w", ErrAnswer, err)
	}

	return nil
}

// parseHash decodes a hash, which has all its digits.
func parseHash(text string) (chainhash.Hash, error) {
	hash, err := chainhash.NewHashFromStr(text)
	if err != nil || len(text) != chainhash.MaxHashStringSize {
		return chainhash.Hash{}, fmt.Errorf("%w: %q is no hash",
			ErrAnswer, text)
	}

	return *hash, nil
}

// decodeHex decodes bytes, of which there are some.
func decodeHex(text string) ([]byte, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("%w: no hexadecimal digits", ErrAnswer)
	}

	return b, nil
}
