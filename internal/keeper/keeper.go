package keeper

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/states"
)

// Config is what a Keeper works with.
type Config struct {
	// Network is the network as loopd spells it.
	Network string

	// DataDir is the first place, Places are the further ones, as
	// CleanPlaces returns them.
	DataDir string
	Places  []string

	// Files is the file system of all places; Disk tells directories
	// apart, that of the operating system if nil.
	Files durable.FS
	Disk  Disk

	// Memory remembers earlier lives; nothing if nil.
	Memory Memory

	// Keys, Node and Chain are lnd; Tokens and Rows what is in place.
	Keys   Keys
	Node   Node
	Chain  Chain
	Tokens Tokens
	Rows   Rows

	// IndexBound is the highest index at which a client key is looked for
	// whose file does not tell it.
	IndexBound uint32

	// CheckInterval is how often every copy is judged; 0 for never.
	CheckInterval time.Duration

	// Now is the wall clock, time.Now if nil. It describes, and decides
	// nothing.
	Now func() time.Time
}

// Keeper keeps the backups. Its methods can be called from several goroutines.
type Keeper struct {
	cfg    Config
	life   context.Context
	now    func() time.Time
	places []*place

	// elsewhere is for files that lie in none of the places.
	elsewhere *place

	// pairs are the proofs of this process.
	pairs *RAM

	// mu guards what follows. It is never held over input or output.
	mu sync.Mutex

	// next is the flight that has not begun yet, and flying says whether
	// one is under way or about to be.
	next   *flight
	flying bool

	// missing is what stands in the way of protection, or nil.
	missing *states.Notice

	// verified holds, by path, when a file was last approved.
	verified map[string]time.Time
}

// New returns a keeper, which touches nothing until it is asked to. What it
// does ends with the context, except for what hangs.
func New(ctx context.Context, cfg Config) *Keeper {
	if cfg.Disk == nil {
		cfg.Disk = osDisk{}
	}
	if cfg.Memory == nil {
		cfg.Memory = NewRAM()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}

	k := &Keeper{
		cfg: cfg, life: ctx, now: cfg.Now, pairs: NewRAM(),
		verified: make(map[string]time.Time),
	}
	k.elsewhere = k.newPlace(cfg.DataDir)
	k.add(cfg.DataDir)

	// The database that remembers mounts lies in the data directory: what
	// it says about that came with it from elsewhere.
	k.home().memory = NewRAM()
	for _, dir := range cfg.Places {
		if filepath.Clean(dir) != filepath.Clean(cfg.DataDir) {
			k.add(dir)
		}
	}

	return k
}

// add adds a place.
func (k *Keeper) add(dir string) {
	k.places = append(k.places, k.newPlace(dir))
}

// newPlace returns a place that nobody has looked at.
func (k *Keeper) newPlace(dir string) *place {
	return &place{
		dir: dir,
		store: backup.NewStore(
			k.cfg.Files, k.cfg.Network, []string{dir},
		),
		files: k.cfg.Files, disk: k.cfg.Disk, memory: k.cfg.Memory,
		now: k.now, life: k.life, state: Unasked, since: k.now(),
	}
}

// home is the data directory.
func (k *Keeper) home() *place {
	return k.places[0]
}

// further are the other places.
func (k *Keeper) further() []*place {
	return k.places[1:]
}

// each does something for each place, side by side, and returns what came of
// it in the order of the places.
func each[T any](places []*place, do func(*place) T) []T {
	results := make([]T, len(places))
	var all sync.WaitGroup
	for i, p := range places {
		all.Go(func() { results[i] = do(p) })
	}
	all.Wait()

	return results
}
