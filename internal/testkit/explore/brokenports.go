package explore

import (
	"context"
	"errors"

	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/staticaddr"
)

const (
	// tokenPath is where the token is.
	tokenPath = twin.DataDir + "/l402.token"

	// markPath is a file by which a broken part knows that it acted.
	markPath = twin.DataDir + "/mark"
)

// brokenPorts returns a world with other ports.
func brokenPorts(name, scenario string,
	change func(*scene, *actions.Deps)) *Broken {

	return &Broken{Name: name, Scenario: scenario, deps: change}
}

// brokenTokens is a token store that works in a broken way.
type brokenTokens struct {
	actions.Tokens

	blind    bool
	place    func(token []byte) error
	setAside func() (string, error)
}

// Probe implements actions.Tokens.
func (t *brokenTokens) Probe() (generation.TokenProbe, error) {
	if t.blind {
		return generation.TokenProbe{}, nil
	}

	return t.Tokens.Probe()
}

// Place implements actions.Tokens.
func (t *brokenTokens) Place(token []byte) error {
	if t.place != nil {
		return t.place(token)
	}

	return t.Tokens.Place(token)
}

// SetAside implements actions.Tokens.
func (t *brokenTokens) SetAside() (string, error) {
	if t.setAside != nil {
		return t.setAside()
	}

	return t.Tokens.SetAside()
}

// brokenBackups deletes a backup once it was read.
type brokenBackups struct {
	actions.Backups

	scene *scene
}

// Judge implements actions.Backups.
func (b *brokenBackups) Judge(ctx context.Context, path string) (backup.Entry,
	error) {

	entry, err := b.Backups.Judge(ctx, path)
	if b.scene.Lnd.Watches(b.scene.address) || err == nil {
		b.scene.Disk.Lose(path)
	}

	return entry, err
}

// brokenFiles are the worlds in which files are handled in a broken way.
func brokenFiles() []*Broken {
	return []*Broken{
		brokenPorts("a token is overwritten", "othertoken",
			func(s *scene, deps *actions.Deps) {
				deps.Tokens = &brokenTokens{
					Tokens: deps.Tokens, blind: true,
					place: func(token []byte) error {
						s.Tokens.Put(token)
						return nil
					},
				}
			}),
		brokenPorts("what is set aside replaces what was", "damaged",
			func(s *scene, deps *actions.Deps) {
				deps.Tokens = &brokenTokens{
					Tokens: deps.Tokens,
					setAside: func() (string, error) {
						file, _ := s.Tokens.Get()
						s.Disk.Lose(asidePath)
						s.Disk.Write(asidePath, file)
						s.Tokens.Lose()

						return asidePath, nil
					},
				}
			}),
		brokenPorts("a damaged token is deleted", "damaged",
			func(s *scene, deps *actions.Deps) {
				deps.Tokens = &brokenTokens{
					Tokens: deps.Tokens,
					setAside: func() (string, error) {
						s.Tokens.Lose()
						return "", nil
					},
				}
			}),
		brokenPorts("a backup is deleted once it was read", "restore",
			func(s *scene, deps *actions.Deps) {
				deps.Backups = &brokenBackups{deps.Backups, s}
			}),
		brokenPorts("a token is written under its final name",
			"restore", func(s *scene, deps *actions.Deps) {
				gate := deps.Gate
				deps.Tokens = &brokenTokens{
					Tokens: deps.Tokens,
					place: func(token []byte) error {
						half := len(token) / 2
						s.Tokens.Put(token[:half])
						err := gate.Close(
							context.Background(),
						)
						if err != nil {
							return err
						}
						s.Tokens.Lose()
						s.Tokens.Put(token)

						return nil
					},
				}
			}),
		brokenPorts("the token is copied", "restore",
			func(s *scene, deps *actions.Deps) {
				right := deps.Tokens
				deps.Tokens = &brokenTokens{
					Tokens: right,
					place: func(token []byte) error {
						s.Disk.Write(
							tokenPath+".bak", token,
						)

						return right.Place(token)
					},
				}
			}),
	}
}

// brokenNode is an lnd that works in a broken way.
type brokenNode struct {
	actions.Node

	account func(next uint32) uint32
	advance func(ctx context.Context, family int32) (uint32, error)
	deaf    bool
}

// Account implements actions.Node.
func (n *brokenNode) Account(ctx context.Context, family int32) (
	*hdkeychain.ExtendedKey, uint32, error) {

	key, next, err := n.Node.Account(ctx, family)
	if n.account != nil {
		next = n.account(next)
	}

	return key, next, err
}

// AdvanceKey implements actions.Node.
func (n *brokenNode) AdvanceKey(ctx context.Context, family int32) (uint32,
	error) {

	if n.advance != nil {
		return n.advance(ctx, family)
	}

	return n.Node.AdvanceKey(ctx, family)
}

// ImportScript implements actions.Node.
func (n *brokenNode) ImportScript(ctx context.Context,
	address *script.StaticAddress) (bool, error) {

	if n.deaf {
		return false, nil
	}

	return n.Node.ImportScript(ctx, address)
}

// brokenRows writes rows in a broken way.
type brokenRows struct {
	actions.Rows

	create func(ctx context.Context, row *script.Parameters) error
}

// Create implements actions.Rows.
func (r *brokenRows) Create(ctx context.Context,
	row *script.Parameters) error {

	return r.create(ctx, row)
}

// brokenLnds are the worlds in which lnd or the database is changed in a broken
// way.
func brokenLnds() []*Broken {
	return []*Broken{
		brokenPorts("a counter is not moved", "restore",
			func(_ *scene, deps *actions.Deps) {
				next := make(map[int32]uint32)
				deps.Node = &brokenNode{
					Node: deps.Node,
					advance: func(_ context.Context,
						family int32) (uint32, error) {

						next[family]++
						return next[family] - 1, nil
					},
				}
			}),
		brokenPorts("a counter is not read before it is moved",
			"restore", func(_ *scene, deps *actions.Deps) {
				deps.Node = &brokenNode{
					Node: deps.Node,
					account: func(uint32) uint32 {
						return 0
					},
				}
			}),
		brokenPorts("the script is not imported", "restore",
			func(_ *scene, deps *actions.Deps) {
				deps.Node = &brokenNode{
					Node: deps.Node, deaf: true,
				}
			}),
		brokenPorts("a counter is set back", "restore",
			func(s *scene, deps *actions.Deps) {
				back := func() {
					s.Lnd.SetNext(
						staticaddr.LegacyFamily, 0,
					)
				}
				deps.Scanner = &brokenScanner{
					Scanner: deps.Scanner, result: back,
				}
			}),
		brokenPorts("the row is written twice", "restore",
			func(s *scene, deps *actions.Deps) {
				right := deps.Rows
				deps.Rows = &brokenRows{
					Rows: right,
					create: func(ctx context.Context,
						row *script.Parameters) error {

						err := right.Create(ctx, row)
						s.Rows.Put(row)

						return err
					},
				}
			}),
		brokenPorts("a row of another address is written", "restore",
			func(s *scene, deps *actions.Deps) {
				deps.Rows = &brokenRows{
					Rows: deps.Rows,
					create: func(_ context.Context,
						row *script.Parameters) error {

						other := *row
						other.PkScript = s.script(1, 0)
						s.Rows.Put(&other)

						return nil
					},
				}
			}),
	}
}

// brokenScanner scans in a broken way.
type brokenScanner struct {
	actions.Scanner

	request func(*actions.ScanRequest)
	result  func()
}

// cutFamilies leaves the families that grow out of a scan.
func cutFamilies(request *actions.ScanRequest) {
	request.Families = request.Families[:1]
}

// Scan implements actions.Scanner.
func (c *brokenScanner) Scan(ctx context.Context, id string,
	request actions.ScanRequest) (*chainscan.Result, error) {

	if c.request != nil {
		c.request(&request)
	}

	return c.Scanner.Scan(ctx, id, request)
}

// Result implements actions.Scanner.
func (c *brokenScanner) Result(ctx context.Context, id string) (
	[]chainscan.Output, error) {

	if c.result != nil {
		c.result()
	}

	return c.Scanner.Result(ctx, id)
}

// brokenCheckpoint commits in a broken way.
type brokenCheckpoint struct {
	chainscan.Checkpoint

	commit func(context.Context, chainscan.Checkpoint,
		chainscan.Chunk) error
}

// Commit implements chainscan.Checkpoint.
func (c *brokenCheckpoint) Commit(ctx context.Context,
	chunk chainscan.Chunk) error {

	return c.commit(ctx, c.Checkpoint, chunk)
}

// brokenVisibility publishes half of what was found.
type brokenVisibility struct {
	actions.Visibility

	forgets bool
}

// ImportIntent implements actions.Visibility.
func (v *brokenVisibility) ImportIntent(ctx context.Context,
	pkScript []byte) error {

	if v.forgets {
		return nil
	}

	return v.Visibility.ImportIntent(ctx, pkScript)
}

// Publish implements actions.Visibility.
func (v *brokenVisibility) Publish(ctx context.Context, id string,
	result *chainscan.Result) error {

	if !v.forgets {
		half := *result
		half.Outputs = half.Outputs[:1]
		result = &half
	}

	return v.Visibility.Publish(ctx, id, result)
}

// staleChain is a node that never notices that its chain was reorganised.
type staleChain struct {
	actions.Chain

	scene *scene
}

// BestBlock implements actions.Chain.
func (c *staleChain) BestBlock(ctx context.Context) (chainscan.BlockStamp,
	error) {

	best, err := c.Chain.BestBlock(ctx)
	if mark, ok := c.scene.Disk.Read(markPath); ok {
		copy(best.Hash[:], mark)
		return best, err
	}
	c.scene.Disk.Write(markPath, best.Hash[:])

	return best, err
}

// BlockHash implements actions.Chain.
func (c *staleChain) BlockHash(ctx context.Context, height int32) (
	chainhash.Hash, error) {

	mark, ok := c.scene.Disk.Read(markPath)
	if ok && height > 0 {
		return chainhash.Hash(mark), nil
	}

	return c.Chain.BlockHash(ctx, height)
}

// brokenScans are the worlds in which the scan or what it found is broken.
func brokenScans() []*Broken {
	checkpoint := func(name string, commit func(context.Context,
		chainscan.Checkpoint, chainscan.Chunk) error) *Broken {

		return &Broken{
			Name: name, Scenario: "restore",
			checkpoint: func(right chainscan.Checkpoint,
			) chainscan.Checkpoint {

				return &brokenCheckpoint{right, commit}
			},
		}
	}

	return []*Broken{
		checkpoint("a finding is dropped", func(ctx context.Context,
			right chainscan.Checkpoint,
			chunk chainscan.Chunk) error {

			if len(chunk.Outputs) > 0 {
				chunk.Outputs = chunk.Outputs[1:]
				chunk.Spends = nil
			}

			return right.Commit(ctx, chunk)
		}),
		checkpoint("the cursor is saved before the findings",
			func(ctx context.Context, right chainscan.Checkpoint,
				chunk chainscan.Chunk) error {

				early := chunk
				early.Outputs, early.Spends = nil, nil

				return errors.Join(
					right.Commit(ctx, early),
					right.Commit(ctx, chunk),
				)
			}),
		brokenPorts("a part of the findings is published", "restore",
			func(_ *scene, deps *actions.Deps) {
				deps.Visibility = &brokenVisibility{
					Visibility: deps.Visibility,
				}
			}),
		brokenPorts("an import is not intended", "restore",
			func(_ *scene, deps *actions.Deps) {
				deps.Visibility = &brokenVisibility{
					Visibility: deps.Visibility,
					forgets:    true,
				}
			}),
		brokenPorts("the gap of a family is not closed", "restore",
			func(_ *scene, deps *actions.Deps) {
				deps.Scanner = &brokenScanner{
					Scanner: deps.Scanner,
					request: cutFamilies,
				}
			}),
		brokenPorts("a reorganisation is not noticed", "reorg",
			func(s *scene, deps *actions.Deps) {
				deps.Chain = &staleChain{deps.Chain, s}
			}),
	}
}

// brokenGate lets the embedded daemon run or wait when it must not.
type brokenGate struct {
	actions.Gate

	open bool
}

// Close implements actions.Gate.
func (g *brokenGate) Close(ctx context.Context) error {
	if g.open {
		return nil
	}

	return g.Gate.Close(ctx)
}

// Open implements actions.Gate.
func (g *brokenGate) Open() {
	if g.open {
		g.Gate.Open()
	}
}

// brokenGates are the worlds whose gate is broken.
func brokenGates() []*Broken {
	return []*Broken{
		brokenPorts("the swap client runs while the token is written",
			"restore", func(_ *scene, deps *actions.Deps) {
				deps.Gate = &brokenGate{deps.Gate, true}
			}),
		brokenPorts("the swap client is held back for good", "restore",
			func(_ *scene, deps *actions.Deps) {
				deps.Gate = &brokenGate{deps.Gate, false}
			}),
	}
}
