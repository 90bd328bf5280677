package explore

import (
	"sync"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/internal/testkit/doctor"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/looprecovery/looprecovery/staticaddr"
)

const (
	// height is the height of the chain when the client made its address.
	height = 3

	// keyIndex is the index of its client key.
	keyIndex = 3

	// lookAhead and keyMargin are small, since each key is a boundary, and
	// not so small that one too few or too many would be none or all.
	lookAhead = 2
	keyMargin = 3

	// asidePath is a file that was set aside before.
	asidePath = twin.DataDir + "/set-aside/older"
)

// Scenario is a world in which a recovery begins.
type Scenario struct {
	// Name names it.
	Name string

	// Kind is the recovery.
	Kind states.Kind

	// Blocks says for which reason the recovery must block, changing
	// nothing; empty if it must be reconciled.
	Blocks states.Reason

	// Pairs says that pairs of faults are tried too.
	Pairs bool

	// prepare changes the world after the client was lost.
	prepare func(*scene)

	// request, if set, is what the recovery is asked to do.
	request func(*scene) actions.Request

	// wrong, if set, is a request that is made before.
	wrong *wrongRequest

	// reorgs says that the chain is reorganised while a result is checked.
	reorgs bool

	// hangs is how often a place does not answer before it does.
	hangs int
}

// wrongRequest is a request that must block, changing nothing.
type wrongRequest struct {
	request actions.Request
	blocks  states.Reason
}

// scene is a world with what is known about it.
type scene struct {
	*twin.World

	content  *backup.Content
	families []chainscan.Family
	file     string
	secrets  [][]byte

	// wanted is what the recovery must lead to, and address the output
	// script in it.
	wanted  doctor.Wanted
	address []byte

	// walked is the truth about the chain as it is at first.
	walked      []chainscan.Output
	reorganised bool
}

// known is what all worlds share, made once.
var known = sync.OnceValue(func() *scene {
	s := &scene{World: twin.NewWorldAt(height)}
	s.content = s.NewContent("alice", keyIndex)
	s.families = s.Families(s.content.Address)
	s.secrets = [][]byte{s.content.Token, preimage(s.content.Token)}
	s.file = s.Backups.Put(twin.DataDir, s.content)
	s.address = s.script(0, keyIndex)
	s.wanted = s.want()
	s.mineDeposits()
	s.walked = s.Chain.Truth(s.families, 2*lookAhead)

	return s
})

// want returns what a recovery of the generation must lead to.
func (s *scene) want() doctor.Wanted {
	row, err := s.content.Address.Parameters()
	if err != nil {
		panic(err)
	}

	return doctor.Wanted{
		Token: s.content.Token, Row: rowBytes(row), Address: s.address,
		KeyFamily: staticaddr.LegacyFamily, KeyIndex: keyIndex,
		ReceiveFamily: staticaddr.ReceiveFamily,
		ChangeFamily:  staticaddr.ChangeFamily,
		LookAhead:     lookAhead, KeyMargin: keyMargin,
	}
}

// build makes the world of a scenario: a client with deposits at its static
// address, one of them spent, and at a receive address that only a scan sees
// which looks twice as far as the counters are moved; whose lnd was rebuilt and
// whose directory has nothing but the backup.
func (c Scenario) build() *scene {
	s := *known()
	saved, _ := s.Disk.Read(s.file)
	s.World = twin.NewWorldAt(height)
	s.Disk.Write(s.file, saved)
	s.Chain.Follow(known().Chain)
	c.prepare(&s)

	return &s
}

// mineDeposits makes the deposits, which are the same in every world.
func (s *scene) mineDeposits() {
	first := s.pay(0, keyIndex, 100_000)
	s.pay(0, keyIndex, 200_000)
	s.Chain.Mine(1)
	s.pay(1, 2*lookAhead-1, 300_000)
	s.Chain.Spend(first, 100_000)
	s.Chain.Mine(2)
}

// script returns an output script of the static address (family 0), the receive
// or the change family.
func (s *scene) script(family int, index uint32) []byte {
	pkScript, err := s.families[family].Script(index)
	if err != nil {
		panic(err)
	}

	return pkScript
}

// pay pays such a script.
func (s *scene) pay(family int, index uint32,
	value btcutil.Amount) wire.OutPoint {

	return s.Chain.Fund(s.script(family, index), value)
}

// preimage returns the preimage in the bytes of a token: 32 bytes before the
// last three numbers.
func preimage(token []byte) []byte {
	const numbers = 3 * 8
	end := len(token) - numbers

	return token[end-32 : end]
}

// settings returns the ports with the scenario's settings.
func (s *scene) settings() actions.Deps {
	deps := s.Deps()
	deps.LookAhead = lookAhead
	deps.KeyMargin = keyMargin

	return deps
}

// truth returns what a brute-force walk of the best chain finds.
func (s *scene) truth() []chainscan.Output {
	if !s.reorganised {
		return s.walked
	}

	return s.Chain.Truth(s.families, 2*lookAhead)
}

// reorganise replaces the last two blocks by three, which lack all of their
// transactions but the first: a deposit is spent no more.
func (s *scene) reorganise() {
	removed := s.Chain.Reorg(2)
	s.Chain.Submit(removed[:1]...)
	s.Chain.Mine(3)
	s.reorganised = true
}
