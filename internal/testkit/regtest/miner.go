package regtest

import (
	"crypto/sha256"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

// minerFee is the fee of each payment from the miner's coins, in satoshis.
const minerFee = 10_000

// Params are the parameters of the network everything here runs on.
var Params = &chaincfg.RegressionNetParams

// minerKey is the fixed key that every block of every network here pays to. It
// guards nothing: the coins exist on a private network only.
var minerKey = func() *btcec.PrivateKey {
	seed := sha256.Sum256([]byte("looprecovery regtest miner"))
	key, _ := btcec.PrivKeyFromBytes(seed[:])

	return key
}()

// minerAddress returns the address of minerKey.
func minerAddress() (btcutil.Address, error) {
	return btcutil.NewAddressWitnessPubKeyHash(
		btcutil.Hash160(minerKey.PubKey().SerializeCompressed()),
		Params,
	)
}

// spendCoinbase returns a signed transaction that pays the outputs, in order,
// from the first output of a coinbase of minerKey; what is left goes back to
// the miner as the last output.
func spendCoinbase(coinbase *wire.MsgTx, outputs []*wire.TxOut) (*wire.MsgTx,
	error) {

	address, err := minerAddress()
	if err != nil {
		return nil, err
	}
	minerScript, err := txscript.PayToAddrScript(address)
	if err != nil {
		return nil, err
	}

	value := coinbase.TxOut[0].Value
	change := value - minerFee
	tx := wire.NewMsgTx(2)
	hash := coinbase.TxHash()
	tx.AddTxIn(wire.NewTxIn(wire.NewOutPoint(&hash, 0), nil, nil))
	for _, output := range outputs {
		tx.AddTxOut(output)
		change -= output.Value
	}
	if change <= 0 {
		return nil, fmt.Errorf("a coinbase of %d sat is too small",
			value)
	}
	tx.AddTxOut(wire.NewTxOut(change, minerScript))

	fetcher := txscript.NewCannedPrevOutputFetcher(minerScript, value)
	witness, err := txscript.WitnessSignature(
		tx, txscript.NewTxSigHashes(tx, fetcher), 0, value,
		minerScript, txscript.SigHashAll, minerKey, true,
	)
	if err != nil {
		return nil, err
	}
	tx.TxIn[0].Witness = witness

	return tx, nil
}
