package regtest

import (
	"bytes"
	"context"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr/musig2"
	"github.com/btcsuite/btcd/btcutil/psbt"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/aperture/l402"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/lightninglabs/loop/swapserverrpc"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/keychain"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// cosigner signs the inputs of one withdrawal with the stand-in's key.
type cosigner struct {
	tx       *wire.MsgTx
	prevOuts txscript.PrevOutputFetcher
	hashes   *txscript.TxSigHashes
	key      *btcec.PrivateKey
	sessions *input.MusigSessionManager
}

// ServerPsbtWithdrawDeposits signs the stand-in's half of a cooperative
// withdrawal of deposits at the addresses of the caller's token.
func (s *SwapServer) ServerPsbtWithdrawDeposits(ctx context.Context,
	req *swapserverrpc.ServerPsbtWithdrawRequest) (
	*swapserverrpc.ServerPsbtWithdrawResponse, error) {

	token, ok := l402.FromContext(ctx, l402.KeyTokenID).(l402.TokenID)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "no token")
	}
	packet, err := psbt.NewFromRawBytes(
		bytes.NewReader(req.WithdrawalPsbt), false,
	)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}

	signer := newCosigner(packet, s.key(token))
	txid := packet.UnsignedTx.TxHash()
	resp := &swapserverrpc.ServerPsbtWithdrawResponse{
		Txid: txid[:],
		SigningInfo: make(
			map[string]*swapserverrpc.ServerPsbtWithdrawSigningInfo,
		),
	}
	for i, in := range packet.UnsignedTx.TxIn {
		outpoint := in.PreviousOutPoint.String()
		address, clientKey, err := s.owner(
			token, packet.Inputs[i].WitnessUtxo,
		)
		if err != nil {
			return nil, err
		}
		info, err := signer.sign(
			i, address, clientKey, req.DepositToNonces[outpoint],
		)
		if err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
		resp.SigningInfo[outpoint] = info
	}

	return resp, nil
}

// owner returns the static address, and the client's key in it, that an output
// pays.
func (s *SwapServer) owner(token l402.TokenID, output *wire.TxOut) (
	*script.StaticAddress, *btcec.PublicKey, error) {

	for _, clientKey := range s.ClientKeys(token) {
		address, err := script.NewStaticAddress(
			input.MuSig2Version100RC2, int64(s.expiry), clientKey,
			s.key(token).PubKey(),
		)
		if err != nil {
			return nil, nil, err
		}
		pkScript, err := address.StaticAddressScript()
		if err != nil {
			return nil, nil, err
		}
		if output != nil && bytes.Equal(pkScript, output.PkScript) {
			return address, clientKey, nil
		}
	}

	return nil, nil, status.Error(codes.NotFound,
		"an input is no deposit of this token")
}

// newCosigner prepares the signing of a withdrawal.
func newCosigner(packet *psbt.Packet, key *btcec.PrivateKey) *cosigner {
	prevOuts := make(map[wire.OutPoint]*wire.TxOut)
	for i, in := range packet.UnsignedTx.TxIn {
		prevOuts[in.PreviousOutPoint] = packet.Inputs[i].WitnessUtxo
	}
	fetcher := txscript.NewMultiPrevOutFetcher(prevOuts)

	return &cosigner{
		tx:       packet.UnsignedTx,
		prevOuts: fetcher,
		hashes:   txscript.NewTxSigHashes(packet.UnsignedTx, fetcher),
		key:      key,
		sessions: input.NewMusigSessionManager(
			func(*keychain.KeyDescriptor) (*btcec.PrivateKey,
				error) {

				return key, nil
			},
		),
	}
}

// sign makes the partial signature of one input.
func (c *cosigner) sign(index int, address *script.StaticAddress,
	clientKey *btcec.PublicKey, clientNonce []byte) (
	*swapserverrpc.ServerPsbtWithdrawSigningInfo, error) {

	if len(clientNonce) != musig2.PubNonceSize {
		return nil, status.Error(codes.InvalidArgument,
			"a nonce has the wrong length")
	}
	root := address.TimeoutLeaf.TapHash()
	session, err := c.sessions.MuSig2CreateSession(
		input.MuSig2Version100RC2, keychain.KeyLocator{},
		[]*btcec.PublicKey{clientKey, c.key.PubKey()},
		&input.MuSig2Tweaks{TaprootTweak: root[:]},
		[][musig2.PubNonceSize]byte{
			[musig2.PubNonceSize]byte(clientNonce),
		}, nil,
	)
	if err != nil {
		return nil, err
	}

	digest, err := txscript.CalcTaprootSignatureHash(
		c.hashes, txscript.SigHashDefault, c.tx, index, c.prevOuts,
	)
	if err != nil {
		return nil, err
	}
	partial, err := c.sessions.MuSig2Sign(
		session.SessionID, [32]byte(digest), true,
	)
	if err != nil {
		return nil, err
	}
	raw, err := input.SerializePartialSignature(partial)
	if err != nil {
		return nil, err
	}

	return &swapserverrpc.ServerPsbtWithdrawSigningInfo{
		Nonce: session.PublicNonce[:], Sig: raw[:],
	}, nil
}
