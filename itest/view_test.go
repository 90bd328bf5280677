package itest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/lndclient"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/lightninglabs/loop/staticaddr/version"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnrpc/walletrpc"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/chainscan/chainkit"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/lndview"
	"github.com/looprecovery/looprecovery/recoverydb"
	"github.com/looprecovery/looprecovery/staticaddr"
	"github.com/stretchr/testify/require"
)

const (
	// viewExpiry is the timeout of the address of this story, in blocks.
	viewExpiry = 5

	// viewKeyIndex is the index of its key: one that lnd has not handed
	// out, as in a wallet that was rebuilt.
	viewKeyIndex = 7_000

	// viewFee is what each sweep of the story pays, in satoshis.
	viewFee = 1_000
)

// noRows is a deposit table without rows.
type noRows struct{}

// LiveDeposits implements lndview.Rows.
func (noRows) LiveDeposits(ctx context.Context) ([]lndview.Deposit, error) {
	return nil, ctx.Err()
}

// blindView is a View on a real lnd whose wallet is blind for an address.
type blindView struct {
	*story

	lnd        *lndclient.GrpcLndServices
	seen       *lndclient.GrpcLndServices
	view       *lndview.View
	descriptor staticaddr.Descriptor
	address    *script.StaticAddress
	pkScript   []byte
}

// TestViewOnRealLnd: what the view takes for granted of lnd's wallet is so:
// what it lists, what it calls its own and how long it keeps a spend of an
// output that it does not know. If lnd changes any of it, deposits would vanish
// or stay for ever.
func TestViewOnRealLnd(t *testing.T) {
	s := newStory(t)
	v := s.newBlindView()

	// One deposit is paid by lnd itself, which lists the transaction but
	// does not hold the output; the others by strangers.
	own := v.payFromWallet(100_000)
	swept, abandoned := v.payFromMiner(200_000), v.payFromMiner(300_000)
	s.mineOneByOne(1)
	v.importAndScan()
	v.sees(own, swept, abandoned)

	// What comes after the import is listed by lnd itself, and once.
	native := v.payFromMiner(400_000)
	s.mineOneByOne(viewExpiry)
	v.sees(own, swept, abandoned, native)

	// A sweep that pays nobody lnd knows, signed with a key that lnd never
	// handed out. It stays hidden when lnd is told again what it knows.
	foreign := v.sweep(swept, 200_000, stranger())
	for range 2 {
		v.publish(foreign)
		v.sees(own, abandoned, native)
	}
	s.mineOneByOne(1)
	v.sees(own, abandoned, native)
	v.publish(foreign)
	v.sees(own, abandoned, native)

	// A sweep that the user makes lnd forget, and publishes again while the
	// node still has it.
	dropped := v.sweep(abandoned, 300_000, stranger())
	v.publish(dropped)
	v.sees(own, native)
	v.abandon(dropped)
	v.sees(own, abandoned, native)
	v.publish(dropped)
	v.sees(own, native)

	home := v.sweep(own, 100_000, v.walletScript())
	v.publish(home)
	v.sees(native)
	s.mineOneByOne(1)
	_, err := s.Btcd.Reorg(t.Context(), 1)
	require.NoError(t, err)
	require.NoError(t, s.WaitSynced(t.Context()))
	v.sees(native)
}

// newBlindView makes an address whose script lnd's wallet does not know yet,
// and a View on the client's lnd.
func (s *story) newBlindView() *blindView {
	s.Helper()

	ctx := s.Context()
	lnd, err := s.Client.Services(ctx)
	require.NoError(s, err)
	s.Cleanup(lnd.Close)
	seen, err := s.Client.Services(ctx)
	require.NoError(s, err)
	s.Cleanup(seen.Close)

	locator := keychain.KeyLocator{
		Family: keychain.KeyFamily(staticaddr.LegacyFamily),
		Index:  viewKeyIndex,
	}
	key, err := lnd.WalletKit.DeriveKey(ctx, &locator)
	require.NoError(s, err)
	server, err := btcec.NewPrivateKey()
	require.NoError(s, err)

	v := &blindView{
		story: s, lnd: lnd, seen: seen,
		descriptor: staticaddr.Descriptor{
			ProtocolVersion: uint32(version.ProtocolVersion_V0),
			ServerKey:       server.PubKey(),
			ClientKey:       key.PubKey,
			ClientLocator:   locator,
			Expiry:          viewExpiry,
			ReceiveFamily:   staticaddr.ReceiveFamily,
			ChangeFamily:    staticaddr.ChangeFamily,
			FirstHeight:     1,
		},
	}
	v.address, err = v.descriptor.Script(key.PubKey)
	require.NoError(s, err)
	v.pkScript, err = v.address.StaticAddressScript()
	require.NoError(s, err)

	db, err := recoverydb.Open(filepath.Join(s.scratch, "view.db"))
	require.NoError(s, err)
	s.Cleanup(func() { require.NoError(s, db.Close()) })
	v.view, err = lndview.New(ctx, lndview.Config{
		Ledger: db.Ledger(),
		Rows:   noRows{},
		Chain:  chainkit.New(lnd.ChainKit),
		Params: &chaincfg.RegressionNetParams,
	})
	require.NoError(s, err)
	v.view.SetKeys([]keychain.KeyDescriptor{
		{PubKey: key.PubKey, KeyLocator: locator},
	})
	v.view.Decorate(seen)

	return v
}

// payFromWallet lets lnd pay to the address.
func (v *blindView) payFromWallet(value int64) wire.OutPoint {
	v.Helper()

	tx, err := v.lnd.WalletKit.SendOutputs(v.Context(), []*wire.TxOut{
		wire.NewTxOut(value, v.pkScript),
	}, chainfee.FeePerKwFloor*4, "deposit")
	require.NoError(v, err)
	require.NoError(v, v.Btcd.WaitMempool(v.Context(), tx.TxHash()))

	for i, out := range tx.TxOut {
		if string(out.PkScript) == string(v.pkScript) {
			return wire.OutPoint{
				Hash: tx.TxHash(), Index: uint32(i),
			}
		}
	}
	require.Fail(v, "lnd did not pay to the address")

	return wire.OutPoint{}
}

// payFromMiner lets a stranger pay to the address.
func (v *blindView) payFromMiner(value btcutil.Amount) wire.OutPoint {
	v.Helper()

	address, err := btcutil.NewAddressTaproot(
		schnorr.SerializePubKey(v.address.TaprootKey),
		&chaincfg.RegressionNetParams,
	)
	require.NoError(v, err)
	outpoint, err := v.Btcd.Fund(address.EncodeAddress(), value)
	require.NoError(v, err)

	return *outpoint
}

// importAndScan does what a restore does.
func (v *blindView) importAndScan() {
	v.Helper()

	ctx := v.Context()
	require.NoError(v, v.view.InPlace(ctx, [][]byte{v.pkScript}))
	_, err := v.lnd.WalletKit.ImportTaprootScript(
		ctx, input.TapscriptFullTree(
			v.address.InternalPubKey, *v.address.TimeoutLeaf,
		),
	)
	require.NoError(v, err)

	result, err := chainscan.Run(ctx, chainscan.Config{
		Source: chainkit.New(v.lnd.ChainKit),
		Families: []chainscan.Family{
			staticaddr.NewFixedFamily(v.descriptor),
		},
		Birthday:   1,
		Checkpoint: chainscan.NewMemoryCheckpoint(),
	})
	require.NoError(v, err)
	require.NoError(v, v.view.Publish(
		ctx, "run", [][]byte{v.pkScript}, result,
	))
}

// errOther is returned while the embedded daemon would see something else.
var errOther = errors.New("other outputs are listed")

// sees waits until the embedded daemon would see exactly these outputs of the
// address, once each. lnd's wallet may need a moment for a block.
func (v *blindView) sees(want ...wire.OutPoint) {
	v.Helper()

	err := regtest.Eventually(v.Context(), "the outputs",
		regtest.DefaultTimeout, func(ctx context.Context) error {
			utxos, err := v.seen.WalletKit.ListUnspent(ctx, 0, 0)
			if err != nil {
				return err
			}

			var found []wire.OutPoint
			for _, utxo := range utxos {
				if string(utxo.PkScript) == string(v.pkScript) {
					found = append(found, utxo.OutPoint)
				}
			}
			for _, outpoint := range want {
				if !slices.Contains(found, outpoint) {
					return fmt.Errorf("%w: %v", errOther,
						found)
				}
			}
			if len(found) != len(want) {
				return fmt.Errorf("%w: %v", errOther, found)
			}

			return nil
		})
	require.NoError(v, err)
}

// sweep returns a sweep of a deposit by its timeout, signed as upstream asks.
func (v *blindView) sweep(outpoint wire.OutPoint, value int64,
	to []byte) *wire.MsgTx {

	v.Helper()

	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{
		PreviousOutPoint: outpoint, Sequence: viewExpiry,
	})
	tx.AddTxOut(wire.NewTxOut(value-viewFee, to))

	spent := wire.NewTxOut(value, v.pkScript)
	signatures, err := v.seen.Signer.SignOutputRaw(
		v.Context(), tx, []*lndclient.SignDescriptor{{
			KeyDesc: keychain.KeyDescriptor{
				PubKey: v.descriptor.ClientKey,
			},
			WitnessScript: v.address.TimeoutLeaf.Script,
			Output:        spent,
			HashType:      txscript.SigHashDefault,
			SignMethod:    input.TaprootScriptSpendSignMethod,
		}}, []*wire.TxOut{spent},
	)
	require.NoError(v, err)
	tx.TxIn[0].Witness, err = v.address.GenTimeoutWitness(signatures[0])
	require.NoError(v, err)

	return tx
}

// publish publishes a transaction as the embedded daemon does.
func (v *blindView) publish(tx *wire.MsgTx) {
	v.Helper()

	require.NoError(v, v.seen.WalletKit.PublishTransaction(
		v.Context(), tx, "sweep",
	))
}

// abandon makes lnd's wallet forget an unconfirmed transaction, as `lncli
// wallet removetx` does.
func (v *blindView) abandon(tx *wire.MsgTx) {
	v.Helper()

	ctx, timeout, wallet := v.lnd.WalletKit.RawClientWithMacAuth(
		v.Context(),
	)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := wallet.RemoveTransaction(
		ctx, &walletrpc.GetTransactionRequest{
			Txid: tx.TxHash().String(),
		},
	)
	require.NoError(v, err)
}

// walletScript returns a script of lnd's wallet.
func (v *blindView) walletScript() []byte {
	v.Helper()

	address, err := v.lnd.WalletKit.NextAddr(
		v.Context(), "", walletrpc.AddressType_TAPROOT_PUBKEY, false,
	)
	require.NoError(v, err)
	pkScript, err := txscript.PayToAddrScript(address)
	require.NoError(v, err)

	return pkScript
}

// stranger returns a script that nobody here can spend.
func stranger() []byte {
	return append([]byte{txscript.OP_0, txscript.OP_DATA_20},
		make([]byte, 20)...)
}
