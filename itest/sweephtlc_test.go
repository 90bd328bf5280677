package itest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/loop/loopdb"
	"github.com/lightninglabs/loop/swap"
	"github.com/lightninglabs/loop/utils"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/stretchr/testify/require"
)

const (
	// htlcKeyIndex is the index of the client's key of the HTLC: lnd was
	// rebuilt and has not handed it out.
	htlcKeyIndex = 7

	// htlcValue is the amount in the HTLC.
	htlcValue = btcutil.Amount(250_000)

	// htlcFeeRate is the fee rate of its sweep, in sat/vbyte.
	htlcFeeRate = "2"
)

// TestSweepHtlcWithoutRecord: whoever lost the swap database with a loop-out in
// flight still has the six values of its HTLC in a log or a support thread. If
// this breaks, upstream's command that sweeps with them does not work through
// our programs, and the coins go to the server at the timeout.
func TestSweepHtlcWithoutRecord(t *testing.T) {
	s := newStory(t)
	loopd := s.newLoopd(regtest.LoopdConfig{})
	s.start(loopd)

	contract, preimage := s.htlcContract(s.Client)
	htlc, err := utils.GetHtlc(
		preimage.Hash(), contract, &chaincfg.RegressionNetParams,
	)
	require.NoError(s, err)
	paid := s.pay(htlc.Address.EncodeAddress(), htlcValue)[0]
	before, err := s.Client.Balance(s.Context())
	require.NoError(s, err)

	args := []string{
		"out", "sweephtlc",
		"--outpoint=" + paid.outpoint.String(),
		"--htlcaddr=" + htlc.Address.EncodeAddress(),
		"--feerate=" + htlcFeeRate,
		"--preimage=" + preimage.String(),
		"--serverpubkey=" + hexKey(contract.HtlcKeys.SenderScriptKey),
		"--clientpubkey=" + hexKey(contract.HtlcKeys.ReceiverScriptKey),
		fmt.Sprintf("--cltvexpiry=%d", contract.CltvExpiry),
		fmt.Sprintf("--initiationheight=%d", contract.InitiationHeight),
		"--publish",
	}

	// One value that is wrong makes another HTLC, which is not swept.
	wrong := append(append([]string{}, args...),
		fmt.Sprintf("--cltvexpiry=%d", contract.CltvExpiry+1))
	require.NotZero(s, s.cli(loopd, wrong...).ExitCode)

	s.succeeds(s.cli(loopd, args...))
	sweep := s.confirmSpend(paid)
	require.True(s, bytes.Contains(
		bytes.Join(sweep.TxIn[0].Witness, nil), preimage[:],
	))
	s.waitGain(s.Client, before, btcutil.Amount(sweep.TxOut[0].Value))
}

// htlcContract returns what a loop-out of the client would have agreed upon
// with a server, and its preimage.
func (s *story) htlcContract(client *regtest.Lnd) (*loopdb.SwapContract,
	lntypes.Preimage) {

	s.Helper()

	services, err := client.Services(s.Context())
	require.NoError(s, err)
	defer services.Close()
	key, err := services.WalletKit.DeriveKey(
		s.Context(), &keychain.KeyLocator{
			Family: keychain.KeyFamily(swap.KeyFamily),
			Index:  htlcKeyIndex,
		},
	)
	require.NoError(s, err)
	server, err := btcec.NewPrivateKey()
	require.NoError(s, err)
	var preimage lntypes.Preimage
	_, err = rand.Read(preimage[:])
	require.NoError(s, err)
	height, err := s.Btcd.Height()
	require.NoError(s, err)

	clientKey := [33]byte(key.PubKey.SerializeCompressed())
	serverKey := [33]byte(server.PubKey().SerializeCompressed())

	return &loopdb.SwapContract{
		Preimage:         preimage,
		CltvExpiry:       height + 400,
		InitiationHeight: height,
		ProtocolVersion:  loopdb.ProtocolVersionMuSig2,
		HtlcKeys: loopdb.HtlcKeys{
			SenderScriptKey:        serverKey,
			SenderInternalPubKey:   serverKey,
			ReceiverScriptKey:      clientKey,
			ReceiverInternalPubKey: clientKey,
		},
	}, preimage
}

// confirmSpend waits for the spend of an output, confirms it and returns it.
func (s *story) confirmSpend(output deposit) *wire.MsgTx {
	s.Helper()

	spender, err := s.Btcd.WaitSpent(
		s.Context(), output.outpoint, output.height,
	)
	require.NoError(s, err)
	_, err = s.Mine(s.Context(), 1)
	require.NoError(s, err)

	return spender
}

// hexKey renders a key as the command line takes it.
func hexKey(key [33]byte) string {
	return hex.EncodeToString(key[:])
}
