package chainscan

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

const (
	// blockDeadline is how long a source of blocks may take for one, if
	// there is another to ask. sourceRest is how long one that took longer,
	// failed or lied is left aside.
	blockDeadline = 30 * time.Second
	sourceRest    = time.Minute
)

// errBlockStall says that a source did not answer in time.
var errBlockStall = errors.New("no block in time")

// BlockSource yields blocks by their hash. See Source.
type BlockSource interface {
	// Name says what the source is, for the log.
	Name() string

	// Block returns the serialised block with the given hash. The error
	// wraps ErrUnavailable if the source does not have it and will not get
	// it by itself.
	Block(ctx context.Context, hash chainhash.Hash) ([]byte, error)
}

// blockSources fetches blocks from the first of some sources that has them. It
// is safe for concurrent use.
type blockSources struct {
	sources []BlockSource

	// mu guards aside: until when a source is not asked.
	mu    sync.Mutex
	aside map[BlockSource]time.Time
}

// newBlockSources returns the sources of a configuration in the order in which
// they are asked.
func newBlockSources(cfg *Config) *blockSources {
	return &blockSources{
		sources: append(
			append([]BlockSource{}, cfg.Blocks...), cfg.Source,
		),
		aside: make(map[BlockSource]time.Time),
	}
}

// fetch gets the block with a hash and checks it. If no source has it, the
// error wraps ErrUnavailable and names them all.
func (b *blockSources) fetch(ctx context.Context, hash chainhash.Hash,
	verifier *verifier) ([]byte, error) {

	var passing, missing error
	for i, source := range b.sources {
		last := i == len(b.sources)-1
		if !last && b.isAside(source) {
			continue
		}

		raw, err := b.ask(ctx, source, hash, last)
		if err == nil {
			err = verifier.verify(raw, hash)
		}
		switch {
		case err == nil:
			return raw, nil

		case ctx.Err() != nil:
			return nil, ctx.Err()
		}

		named := fmt.Errorf("%s: %w", source.Name(), err)
		if errors.Is(err, ErrUnavailable) {
			missing = errors.Join(missing, named)

			continue
		}
		passing = named
		if !last {
			b.leaveAside(source, err)
		}
	}

	// While one source can still come to have it, it is not missing.
	if passing != nil {
		return nil, passing
	}

	return nil, missing
}

// ask asks one source. Only the last one is waited for as long as it takes.
func (b *blockSources) ask(ctx context.Context, source BlockSource,
	hash chainhash.Hash, last bool) ([]byte, error) {

	if last {
		return source.Block(ctx, hash)
	}

	ctx, cancel := context.WithTimeoutCause(
		ctx, blockDeadline, errBlockStall,
	)
	defer cancel()

	raw, err := promptly(ctx, func() ([]byte, error) {
		return source.Block(ctx, hash)
	})
	if errors.Is(context.Cause(ctx), errBlockStall) {
		err = errBlockStall
	}

	return raw, err
}

// isAside tells whether a source is left aside.
func (b *blockSources) isAside(source BlockSource) bool {
	b.mu.Lock()
	defer b.mu.Unlock()

	return time.Now().Before(b.aside[source])
}

// leaveAside lets a source rest.
func (b *blockSources) leaveAside(source BlockSource, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	if time.Now().Before(b.aside[source]) {
		return
	}
	b.aside[source] = time.Now().Add(sourceRest)
	log.Warnf("No blocks from %s for the next %v, the next source is "+
		"asked: %v", source.Name(), sourceRest, err)
}
