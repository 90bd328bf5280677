package chainscan

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/btcsuite/btcd/btcjson"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/btcsuite/btcwallet/chain"
	"github.com/btcsuite/btcwallet/waddrmgr"
	"github.com/btcsuite/btcwallet/wallet"
	"github.com/btcsuite/btcwallet/walletdb"
	_ "github.com/btcsuite/btcwallet/walletdb/bdb" // The database.
	"github.com/btcsuite/btcwallet/wtxmgr"
)

// peerFamilies are the families that btcwallet can look for as well: it takes
// its external and its internal taproot branch for them.
var peerFamilies = map[int32]uint32{
	61: waddrmgr.ExternalBranch,
	62: waddrmgr.InternalBranch,
}

// peerPassword is the password of the peer's wallets.
var peerPassword = []byte("password")

// peer is btcwallet's recovery, from the real module, on simulated chains. lnd
// restores its own wallet with it.
type peer struct {
	dir string

	// template is a fresh wallet's database, and scripts the peer's scripts
	// in place of the simulation's.
	template []byte
	scripts  map[string][]byte
}

// newPeer makes a fresh wallet.
func newPeer(dir string) (*peer, error) {
	waddrmgr.DefaultScryptOptions = waddrmgr.FastScryptOptions
	p := &peer{dir: dir, scripts: make(map[string][]byte)}

	params := &chaincfg.RegressionNetParams
	root, err := hdkeychain.NewMaster(make([]byte, 32), params)
	if err != nil {
		return nil, err
	}

	path := filepath.Join(dir, "template.db")
	db, err := walletdb.Create("bdb", path, true, time.Minute, false)
	if err != nil {
		return nil, err
	}
	birthday := simBranch{}.extend(nil, 0)[0].msg.Header.Timestamp.Add(
		-72 * time.Hour,
	)
	err = wallet.Create(
		db, peerPassword, peerPassword, root, params, birthday,
	)
	if err != nil {
		return nil, err
	}
	if err := p.deriveScripts(db); err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	p.template, err = os.ReadFile(path)

	return p, err
}

// deriveScripts notes the wallet's scripts for all that a simulation pays.
func (p *peer) deriveScripts(db walletdb.DB) error {
	w, err := wallet.Open(
		db, peerPassword, nil, &chaincfg.RegressionNetParams, 1,
	)
	if err != nil {
		return err
	}
	manager, err := w.Manager.FetchScopedKeyManager(
		waddrmgr.KeyScopeBIP0086,
	)
	if err != nil {
		return err
	}

	return walletdb.View(db, func(tx walletdb.ReadTx) error {
		bucket := tx.ReadBucket([]byte("waddrmgr"))
		for script, id := range simScripts {
			branch, ok := peerFamilies[id.Family]
			if !ok {
				continue
			}

			addr, err := manager.DeriveFromKeyPath(
				bucket, waddrmgr.DerivationPath{
					Branch: branch, Index: id.Index,
				},
			)
			if err != nil {
				return err
			}
			p.scripts[script], err = txscript.PayToAddrScript(
				addr.Address(),
			)
			if err != nil {
				return err
			}
		}

		return nil
	})
}

// translate returns the branch with the peer's scripts in place of the
// simulation's, and the old outpoints of the new ones.
func (p *peer) translate(branch simBranch) (simBranch,
	map[wire.OutPoint]wire.OutPoint) {

	var (
		translated simBranch
		ids        = make(map[chainhash.Hash]chainhash.Hash)
		old        = make(map[wire.OutPoint]wire.OutPoint)
	)
	for _, blk := range branch {
		var txs []*wire.MsgTx
		for _, tx := range blk.msg.Transactions[1:] {
			twin := tx.Copy()
			for _, in := range twin.TxIn {
				id, ok := ids[in.PreviousOutPoint.Hash]
				if ok {
					in.PreviousOutPoint.Hash = id
				}
			}
			for _, out := range twin.TxOut {
				script, ok := p.scripts[string(out.PkScript)]
				if ok {
					out.PkScript = script
				}
			}

			ids[tx.TxHash()] = twin.TxHash()
			for i := range twin.TxOut {
				index := uint32(i)
				old[wire.OutPoint{
					Hash: twin.TxHash(), Index: index,
				}] = wire.OutPoint{
					Hash: tx.TxHash(), Index: index,
				}
			}
			txs = append(txs, twin)
		}
		translated = translated.extend(
			txs, binary.LittleEndian.Uint32(blk.Hash[:]),
		)
	}

	return translated, old
}

// recover lets btcwallet recover a wallet from the branch and returns the
// outpoints that it found.
func (p *peer) recover(branch simBranch, lookAhead uint32) (
	map[wire.OutPoint]bool, error) {

	file, err := os.CreateTemp(p.dir, "wallet-*.db")
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(p.template)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}

	db, err := walletdb.Open("bdb", file.Name(), true, time.Minute, false)
	if err != nil {
		return nil, err
	}
	defer db.Close()

	w, err := wallet.Open(
		db, peerPassword, nil, &chaincfg.RegressionNetParams, lookAhead,
	)
	if err != nil {
		return nil, err
	}

	translated, old := p.translate(branch)
	client := newPeerChain(translated)
	w.Start()
	w.SynchronizeRPC(client)
	select {
	case <-client.recovered:
	case <-time.After(time.Minute):
		err = errors.New("btcwallet did not come to an end")
	}
	w.Stop()
	w.WaitForShutdown()
	if err != nil {
		return nil, err
	}

	return peerOutPoints(w, old)
}

// peerOutPoints returns the outputs that a wallet knows as its own.
func peerOutPoints(w *wallet.Wallet, old map[wire.OutPoint]wire.OutPoint) (
	map[wire.OutPoint]bool, error) {

	found := make(map[wire.OutPoint]bool)
	err := walletdb.View(w.Database(), func(tx walletdb.ReadTx) error {
		return w.TxStore.RangeTransactions(
			tx.ReadBucket([]byte("wtxmgr")), 0, -1,
			func(all []wtxmgr.TxDetails) (bool, error) {
				for _, details := range all {
					for _, credit := range details.Credits {
						found[old[wire.OutPoint{
							Hash:  details.Hash,
							Index: credit.Index,
						}]] = true
					}
				}

				return false, nil
			},
		)
	})

	return found, err
}

// recall returns how many of the outputs that are to be found btcwallet finds.
func (p *peer) recall(branch simBranch, lookAhead uint32, wanted []Output) (int,
	int, error) {

	found, err := p.recover(branch, lookAhead)
	if err != nil {
		return 0, 0, fmt.Errorf("btcwallet: %w", err)
	}

	hits, count := 0, 0
	for _, output := range wanted {
		if _, ok := peerFamilies[output.Script.Family]; !ok {
			continue
		}

		count++
		if found[output.OutPoint] {
			hits++
		}
	}

	return hits, count, nil
}

// peerChain is a node for btcwallet.
type peerChain struct {
	branch        simBranch
	blocks        map[chainhash.Hash]*simBlock
	notifications chan any
	recovered     chan struct{}
	once          sync.Once
}

var _ chain.Interface = (*peerChain)(nil)

// newPeerChain returns a node with a branch.
func newPeerChain(branch simBranch) *peerChain {
	c := &peerChain{
		branch:        branch,
		blocks:        make(map[chainhash.Hash]*simBlock),
		notifications: make(chan any, 1),
		recovered:     make(chan struct{}),
	}
	for _, blk := range branch {
		c.blocks[blk.Hash] = blk
	}
	c.notifications <- chain.ClientConnected{}

	return c
}

// FilterBlocks returns the first block that concerns the request, found with
// btcwallet's own filterer, as its client for bitcoind does.
func (c *peerChain) FilterBlocks(request *chain.FilterBlocksRequest) (
	*chain.FilterBlocksResponse, error) {

	filterer := chain.NewBlockFilterer(
		&chaincfg.RegressionNetParams, request,
	)
	for i, meta := range request.Blocks {
		if !filterer.FilterBlock(c.blocks[meta.Hash].msg) {
			continue
		}

		return &chain.FilterBlocksResponse{
			BatchIndex:         uint32(i),
			BlockMeta:          meta,
			FoundExternalAddrs: filterer.FoundExternal,
			FoundInternalAddrs: filterer.FoundInternal,
			FoundOutPoints:     filterer.FoundOutPoints,
			RelevantTxns:       filterer.RelevantTxns,
		}, nil
	}

	return nil, nil
}

// Rescan is what btcwallet calls when the recovery is over. There is nothing
// beyond the recovered tip.
func (c *peerChain) Rescan(*chainhash.Hash, []btcutil.Address,
	map[wire.OutPoint]btcutil.Address) error {

	c.once.Do(func() { close(c.recovered) })

	return nil
}

// GetBestBlock returns the tip.
func (c *peerChain) GetBestBlock() (*chainhash.Hash, int32, error) {
	tip := c.branch[len(c.branch)-1]

	return &tip.Hash, tip.Height, nil
}

// GetBlock returns a block.
func (c *peerChain) GetBlock(hash *chainhash.Hash) (*wire.MsgBlock, error) {
	return c.blocks[*hash].msg, nil
}

// GetBlockHash returns the hash at a height.
func (c *peerChain) GetBlockHash(height int64) (*chainhash.Hash, error) {
	return &c.branch[height].Hash, nil
}

// GetBlockHeader returns a header.
func (c *peerChain) GetBlockHeader(hash *chainhash.Hash) (*wire.BlockHeader,
	error) {

	return &c.blocks[*hash].msg.Header, nil
}

// BlockStamp returns the tip.
func (c *peerChain) BlockStamp() (*waddrmgr.BlockStamp, error) {
	tip := c.branch[len(c.branch)-1]

	return &waddrmgr.BlockStamp{Height: tip.Height, Hash: tip.Hash}, nil
}

// Start does nothing.
func (c *peerChain) Start(context.Context) error { return nil }

// Stop does nothing.
func (c *peerChain) Stop() {}

// WaitForShutdown does nothing.
func (c *peerChain) WaitForShutdown() {}

// IsCurrent says that the node is at the tip.
func (c *peerChain) IsCurrent() bool { return true }

// NotifyReceived does nothing.
func (c *peerChain) NotifyReceived([]btcutil.Address) error { return nil }

// NotifyBlocks does nothing.
func (c *peerChain) NotifyBlocks() error { return nil }

// Notifications returns the notifications.
func (c *peerChain) Notifications() <-chan any { return c.notifications }

// BackEnd names the node.
func (c *peerChain) BackEnd() string { return "simulation" }

// MapRPCErr returns the error.
func (c *peerChain) MapRPCErr(err error) error { return err }

// SendRawTransaction is not called.
func (c *peerChain) SendRawTransaction(*wire.MsgTx, bool) (*chainhash.Hash,
	error) {

	return nil, errors.ErrUnsupported
}

// TestMempoolAccept is not called.
func (c *peerChain) TestMempoolAccept([]*wire.MsgTx, float64) (
	[]*btcjson.TestMempoolAcceptResult, error) {

	return nil, errors.ErrUnsupported
}

// SubmitPackage is not called.
func (c *peerChain) SubmitPackage([]*wire.MsgTx, *float64) (
	*btcjson.SubmitPackageResult, error) {

	return nil, errors.ErrUnsupported
}
