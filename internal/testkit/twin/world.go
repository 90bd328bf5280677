package twin

import (
	"math/rand/v2"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/staticaddr"
)

const (
	// Network is the twin's network, as loopd spells it.
	Network = "regtest"

	// LookAhead, KeyMargin and IndexBound are small, so that tests reach
	// their ends.
	LookAhead  = 5
	KeyMargin  = 10
	IndexBound = 150

	// Expiry is the timeout of the twin's static addresses, in blocks.
	Expiry = 40

	// startHeight is the height of a new world's chain.
	startHeight = 200

	// DataDir is loopd's directory and the first backup place, SecondDir
	// the other one.
	DataDir   = "/data"
	SecondDir = "/second"

	// clientSeed and serverSeed name the seeds of the client's lnd and of
	// the Loop server.
	clientSeed = "client"
	serverSeed = "server"
)

// World is everything outside the process that recovers: it survives its
// crashes.
type World struct {
	calls *calls

	Disk       *Disk
	Chain      *Chain
	Lnd        *Lnd
	Tokens     *Tokens
	Rows       *Rows
	Gate       *Gate
	Visibility *Visibility
	Backups    *Backups
	Scanner    *Scanner
}

// NewWorld returns a world with a chain of 200 blocks, an lnd that was never
// used, no token, no address and no backup. The gate is open.
func NewWorld() *World {
	return NewWorldAt(startHeight)
}

// NewWorldAt is NewWorld with a chain of the given height, 200 at most.
func NewWorldAt(height int) *World {
	calls := newCalls()
	params := &chaincfg.RegressionNetParams
	gate := &Gate{calls: calls}
	visibility := newVisibility(calls)
	chain := newChain(calls, height)
	disk := newDisk(calls, DataDir, SecondDir)
	lnd := newLnd(calls, params, clientSeed, visibility.intended)

	return &World{
		calls:      calls,
		Disk:       disk,
		Chain:      chain,
		Lnd:        lnd,
		Gate:       gate,
		Visibility: visibility,
		Tokens: &Tokens{
			calls: calls,
			gate:  gate,
			disk:  disk,
			files: generation.NewFiles(disk, DataDir),
		},
		Rows: &Rows{
			calls: calls,
			gate:  gate,
		},
		Backups: &Backups{
			calls: calls,
			lnd:   lnd,
			disk:  disk,
			store: backup.NewStore(
				disk, Network, []string{DataDir, SecondDir},
			),
			forced: make(map[string]backup.Entry),
			nonces: rand.NewChaCha8([32]byte{}),
		},
		Scanner: &Scanner{
			calls: calls,
			chain: chain,
			checkpoints: make(
				map[string]*chainscan.MemoryCheckpoint,
			),
		},
	}
}

// Deps returns the ports of the world.
func (w *World) Deps() actions.Deps {
	return actions.Deps{
		Backups:    w.Backups,
		Node:       w.Lnd,
		Chain:      w.Chain,
		Tokens:     w.Tokens,
		Rows:       w.Rows,
		Gate:       w.Gate,
		Visibility: w.Visibility,
		Scanner:    w.Scanner,
		Network:    Network,
		LookAhead:  LookAhead,
		KeyMargin:  KeyMargin,
		IndexBound: IndexBound,
	}
}

// NewContent returns the generation that a client with this lnd has who bought
// a token now and made an address at the next block with the key of the given
// index. The name makes generations differ.
func (w *World) NewContent(name string, index uint32) *backup.Content {
	locator := keychain.KeyLocator{
		Family: keychain.KeyFamily(staticaddr.LegacyFamily),
		Index:  index,
	}
	client, err := w.Lnd.Key(locator)
	must(err)

	server := &Lnd{params: w.Lnd.params}
	server.Replace(serverSeed + name)
	serverKey, err := server.Key(keychain.KeyLocator{})
	must(err)

	created := w.Chain.Time()
	height := w.Chain.Tip().Height + 1

	return &backup.Content{
		Network:      Network,
		TokenID:      TokenID(name),
		TokenCreated: created,
		Token:        NewToken(name, created, true),
		Address: staticaddr.Descriptor{
			ProtocolVersion:     0,
			ServerKey:           serverKey.PubKey(),
			ClientKey:           client.PubKey(),
			ClientLocator:       locator,
			Expiry:              Expiry,
			ReceiveFamily:       staticaddr.ReceiveFamily,
			ChangeFamily:        staticaddr.ChangeFamily,
			FirstHeight:         height,
			FamiliesFirstHeight: height,
		},
	}
}

// Families returns the scripts of a generation as the true owner of the seed
// derives them.
func (w *World) Families(
	descriptor staticaddr.Descriptor) []chainscan.Family {

	families := []chainscan.Family{staticaddr.NewFixedFamily(descriptor)}
	for _, id := range []int32{
		descriptor.ReceiveFamily, descriptor.ChangeFamily,
	} {
		w.Lnd.mu.Lock()
		account, err := w.Lnd.public(id)
		w.Lnd.mu.Unlock()
		must(err)

		families = append(families, staticaddr.NewFamily(
			descriptor, id, account,
		))
	}

	return remembered(families)
}
