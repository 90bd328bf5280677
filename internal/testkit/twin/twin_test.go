package twin

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"testing"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/staticaddr"
	"github.com/stretchr/testify/require"
)

// errFault is an error of which the twin knows nothing.
var errFault = errors.New("fault")

// family is a key family of which a new lnd has no account.
const family = staticaddr.ReceiveFamily

// TestHook shows on which side of an effect a call fails, and that a process
// that has ended has no effect any more until the next one starts.
func TestHook(t *testing.T) {
	t.Parallel()

	w := NewWorld()
	call := "node.AdvanceKey"
	advance := func() error {
		_, err := w.Lnd.AdvanceKey(t.Context(), family)

		return err
	}

	w.SetHook(FailAt(Point{Call: call}, 1, errFault))
	require.ErrorIs(t, advance(), errFault)
	require.Zero(t, w.Lnd.Next(family))
	require.NoError(t, advance())
	require.EqualValues(t, 1, w.Lnd.Next(family))

	w.SetHook(FailAt(Point{Call: call, After: true}, 2, errFault))
	require.NoError(t, advance())
	require.ErrorIs(t, advance(), errFault)
	require.EqualValues(t, 3, w.Lnd.Next(family))
	require.Equal(t, 3, w.Count(call))

	ctx, release := w.Context(t.Context())
	defer release()
	w.SetHook(FailAt(Point{Call: call, After: true}, 1, ErrCrashed))
	require.ErrorIs(t, advance(), ErrCrashed)
	require.True(t, w.Crashed())
	<-ctx.Done()
	require.ErrorIs(t, context.Cause(ctx), ErrCrashed)
	require.ErrorIs(t, advance(), ErrCrashed)
	require.EqualValues(t, 4, w.Lnd.Next(family))
	w.Gate.Set(true)
	w.Gate.Open()
	require.True(t, w.Gate.Closed())

	w.Restart(true)
	require.NoError(t, advance())
	require.True(t, w.Gate.Closed())
	w.SetHook(FailAt(Point{Call: "gate.Open"}, 1, errFault))
	w.Gate.Open()
	require.False(t, w.Gate.Closed())
	require.Equal(t, "before gate.Open", Point{Call: "gate.Open"}.String())
}

// TestViolations shows that the twin sees what must never be done: a test that
// relies on there being none relies on this one.
func TestViolations(t *testing.T) {
	t.Parallel()

	row := func(w *World) error {
		content := w.NewContent("alice", 0)
		parameters, err := content.Address.Parameters()
		require.NoError(t, err)

		return w.Rows.Create(t.Context(), parameters)
	}
	for name, misdeed := range map[string]func(*World) error{
		"token with the gate open": func(w *World) error {
			return w.Tokens.Place([]byte("token"))
		},
		"row with the gate open": row,
		"second row": func(w *World) error {
			w.Gate.Set(true)

			return errors.Join(row(w), row(w))
		},
		"import without an intent": func(w *World) error {
			content := w.NewContent("alice", 0)
			address, err := content.Address.Script(
				content.Address.ClientKey,
			)
			require.NoError(t, err)
			_, err = w.Lnd.ImportScript(t.Context(), address)

			return err
		},
		"answer without an intent": func(w *World) error {
			return w.Visibility.ImportDone(
				t.Context(), []byte("script"), true,
			)
		},
	} {
		w := NewWorld()
		require.Empty(t, w.Violations())
		require.NoError(t, misdeed(w), name)
		require.Len(t, w.Violations(), 1, name)
	}
}

// TestLnd shows that the accounts lead to the keys, that looking moves no
// counter, and what is left after lnd was rebuilt and replaced.
func TestLnd(t *testing.T) {
	t.Parallel()

	w := NewWorld()
	ctx := t.Context()
	_, _, err := w.Lnd.Account(ctx, family)
	require.ErrorIs(t, err, ErrNoAccount)

	locator := keychain.KeyLocator{Family: keychain.KeyFamily(family)}
	for index := range uint32(5) {
		locator.Index = index
		key, err := w.Lnd.DeriveKey(ctx, locator)
		require.NoError(t, err)
		account, next, err := w.Lnd.Account(ctx, family)
		require.NoError(t, err)
		require.Zero(t, next)
		child, err := staticaddr.ChildKey(account, index)
		require.NoError(t, err)
		require.True(t, key.IsEqual(child))
	}

	identity, err := w.Lnd.Identity(ctx)
	require.NoError(t, err)
	index, err := w.Lnd.AdvanceKey(ctx, family)
	require.NoError(t, err)
	require.Zero(t, index)
	w.Lnd.Watch([]byte("script"))

	w.Lnd.Rebuild()
	same, err := w.Lnd.Identity(ctx)
	require.NoError(t, err)
	require.Equal(t, identity, same)
	require.Zero(t, w.Lnd.Next(family))
	require.False(t, w.Lnd.Watches([]byte("script")))

	w.Lnd.Replace("mallory")
	other, err := w.Lnd.Identity(ctx)
	require.NoError(t, err)
	require.NotEqual(t, identity, other)

	w.SetLnd(ErrLndDown)
	_, err = w.Lnd.Identity(ctx)
	require.ErrorIs(t, err, ErrLndDown)
	_, err = w.Chain.BestBlock(ctx)
	require.ErrorIs(t, err, ErrLndDown)
	_, err = w.Backups.List(ctx)
	require.ErrorIs(t, err, ErrLndDown)
	_, err = w.Tokens.Probe()
	require.NoError(t, err)
}

// TestSharedKey shows that both ends of a Diffie-Hellman exchange come to the
// same key, hashed as lnd does.
func TestSharedKey(t *testing.T) {
	t.Parallel()

	w := NewWorld()
	ctx := t.Context()
	here := &keychain.KeyLocator{Family: 1}
	there := &keychain.KeyLocator{Family: 2}
	hereKey, err := w.Lnd.DeriveKey(ctx, *here)
	require.NoError(t, err)
	thereKey, err := w.Lnd.DeriveKey(ctx, *there)
	require.NoError(t, err)

	shared, err := w.Lnd.DeriveSharedKey(ctx, thereKey, here)
	require.NoError(t, err)
	again, err := w.Lnd.DeriveSharedKey(ctx, hereKey, there)
	require.NoError(t, err)
	require.Equal(t, shared, again)
	require.NotEqual(t, sha256.Sum256(nil), shared)
}

// TestChain shows that blocks are what a node would accept, that a reorg gives
// back its transactions, and that a pruned block is not to be had.
func TestChain(t *testing.T) {
	t.Parallel()

	w := NewWorld()
	ctx := t.Context()
	params := &chaincfg.RegressionNetParams
	output := w.Chain.Fund([]byte{0x51}, 10_000)
	w.Chain.Mine(1)
	spend := w.Chain.Spend(output, 10_000)
	w.Chain.Mine(2)

	var parent chainscan.BlockStamp
	parent.Hash = *params.GenesisHash
	tip, err := w.Chain.BestBlock(ctx)
	require.NoError(t, err)
	require.EqualValues(t, startHeight+3, tip.Height)
	for height := int32(1); height <= tip.Height; height++ {
		hash, err := w.Chain.BlockHash(ctx, height)
		require.NoError(t, err)
		raw, err := w.Chain.Block(ctx, hash)
		require.NoError(t, err)
		block, err := btcutil.NewBlockFromBytes(raw)
		require.NoError(t, err)
		require.Equal(t, hash, *block.Hash())
		require.Equal(t, parent.Hash, block.MsgBlock().Header.PrevBlock)
		parent.Hash = hash

		header := &block.MsgBlock().Header
		require.NoError(t, blockchain.CheckProofOfWork(
			block, params.PowLimit,
		))
		require.Equal(t, header.MerkleRoot, blockchain.CalcMerkleRoot(
			block.Transactions(), false,
		))
		blockTime, err := w.Chain.BlockTime(ctx, height)
		require.NoError(t, err)
		require.Equal(t, header.Timestamp.Unix(), blockTime.Unix())
	}
	require.Equal(t, tip.Hash, parent.Hash)

	removed := w.Chain.Reorg(3)
	require.Len(t, removed, 2)
	require.Equal(t, output.Hash, removed[0].TxHash())
	require.Equal(t, spend, removed[1].TxHash())
	_, err = w.Chain.BlockHash(ctx, tip.Height)
	require.Error(t, err)
	w.Chain.Submit(removed...)
	w.Chain.Mine(4)
	hash, err := w.Chain.BlockHash(ctx, tip.Height)
	require.NoError(t, err)
	require.NotEqual(t, tip.Hash, hash)

	// A block of the stale branch is still there.
	_, err = w.Chain.Block(ctx, tip.Hash)
	require.NoError(t, err)
	w.Chain.Prune(tip.Height)
	_, err = w.Chain.Block(ctx, hash)
	require.ErrorIs(t, err, chainscan.ErrUnavailable)
	w.Chain.Unprune()
	_, err = w.Chain.Block(ctx, hash)
	require.NoError(t, err)
}

// TestTruth shows that the brute-force walk finds what grows out of its own
// findings, spends included, and stops at the gap.
func TestTruth(t *testing.T) {
	t.Parallel()

	w := NewWorld()
	content := w.NewContent("alice", 7)
	families := w.Families(content.Address)
	pay := func(family int, index uint32) {
		pkScript, err := families[family].Script(index)
		require.NoError(t, err)
		output := w.Chain.Fund(pkScript, 10_000)
		w.Chain.Mine(1)
		if index%2 == 1 {
			w.Chain.Spend(output, 10_000)
			w.Chain.Mine(1)
		}
	}

	// Each lies within the look-ahead of the one that was paid after it.
	pay(1, 3*LookAhead-1)
	pay(1, 2*LookAhead-1)
	pay(1, LookAhead-1)
	pay(0, 7)
	pay(2, LookAhead)

	truth := w.Chain.Truth(families, LookAhead)
	require.Len(t, truth, 4)
	for _, output := range truth {
		require.Equal(t, output.Script.Index%2 == 1,
			output.Spend != nil)
		require.NotEqual(t, staticaddr.ChangeFamily,
			output.Script.Family)
	}
}

// TestDisk shows that publishing on the twin's disk is what it is elsewhere, up
// to a power cut.
func TestDisk(t *testing.T) {
	t.Parallel()

	w := NewWorld()
	data := []byte("data")
	name := DataDir + "/file"
	publish := func() error {
		_, err := durable.Publish(
			w.Disk, DataDir, "file", data, 0o400,
		)

		return err
	}

	w.SetHook(FailAt(Point{Call: "disk.SyncDir"}, 1, ErrCrashed))
	require.ErrorIs(t, publish(), ErrCrashed)
	w.Restart(false)
	lost := 0
	for nth := 0; ; nth++ {
		again := NewWorld()
		again.SetHook(FailAt(
			Point{Call: "disk.SyncDir"}, 1, ErrCrashed,
		))
		_, err := durable.Publish(
			again.Disk, DataDir, "file", data, 0o400,
		)
		require.Error(t, err)
		if !again.Disk.PowerCut(nth) {
			break
		}
		read, ok := again.Disk.Read(name)
		if !ok {
			lost++
		} else {
			require.Equal(t, data, read)
		}
	}
	require.Positive(t, lost)

	w = NewWorld()
	require.NoError(t, publish())
	require.ErrorIs(t, publish(), fs.ErrExist)
	require.NoError(t, durable.EnsureDir(w.Disk, DataDir+"/aside"))
	require.NoError(t, durable.Move(
		w.Disk, name, DataDir+"/aside/file",
	))
	_, ok := w.Disk.Read(name)
	require.False(t, ok)
	read, ok := w.Disk.Read(DataDir + "/aside/file")
	require.True(t, ok)
	require.Equal(t, data, read)
	require.NoError(t, w.Disk.RenameNoReplace(
		DataDir+"/aside/file", name,
	))
	w.Disk.Lose(name)
	w.Disk.Lose(name)
	_, ok = w.Disk.Read(name)
	require.False(t, ok)

	w.Disk.Break(DataDir, errFault)
	_, err := w.Disk.ReadDir(DataDir, 1)
	require.ErrorIs(t, err, errFault)
	_, err = w.Disk.Lstat(name)
	require.ErrorIs(t, err, errFault)
}

// TestToken shows that a token is paid, pending or nothing to the real parser,
// and that swaps under way keep the gate open.
func TestToken(t *testing.T) {
	t.Parallel()

	w := NewWorld()
	created := w.Chain.Time()
	for status, file := range map[generation.TokenStatus][]byte{
		generation.TokenPaid:       NewToken("alice", created, true),
		generation.TokenPending:    NewToken("alice", created, false),
		generation.TokenUnreadable: {},
	} {
		w.Tokens.Put(file)
		probe, err := w.Tokens.Probe()
		require.NoError(t, err)
		require.Equal(t, status, probe.Status)
		if status != generation.TokenUnreadable {
			require.Equal(t, TokenID("alice"), probe.Token.ID)
			require.True(t, created.Equal(probe.Token.Created))
		}
	}

	w.Gate.SetBusy(true)
	var block *actions.BlockError
	require.ErrorAs(t, w.Gate.Close(t.Context()), &block)
	require.False(t, w.Gate.Closed())
}
