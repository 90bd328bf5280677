package loopd

import (
	"context"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg"
	upstream "github.com/lightninglabs/loop/loopd"
	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/internal/gate"
	"github.com/looprecovery/looprecovery/states"
	"github.com/looprecovery/looprecovery/staticaddr"
	"github.com/stretchr/testify/require"
)

// TestGateOfCalls checks that a call reaches the embedded daemon that the gate
// has, counts until it is done, and is told the reason while there is none; and
// that a stream ends with the daemon.
func TestGateOfCalls(t *testing.T) {
	ended := make(chan error, 1)
	running := newEmbedded(&upstream.Daemon{}, ended)
	d := &Daemon{gate: newGate(
		func(context.Context) (*embedded, error) {
			return running, nil
		},
		func(context.Context, *embedded, bool) (string, error) {
			return "", nil
		},
	)}
	d.gate.Note(states.LndDown)
	_, err := d.enter(t.Context())
	requireReason(t, err, states.LndDown)
	_, _, err = d.enterStream(t.Context())
	requireReason(t, err, states.LndDown)

	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.gate.Run(ctx) }()
	d.gate.Release(holdStart)
	d.gate.Release(holdOwner)
	require.Eventually(t, func() bool {
		return d.gate.Status().State == gate.Up
	}, callPatience, time.Millisecond)

	call, err := d.enter(t.Context())
	require.NoError(t, err)
	require.Equal(t, looprpc.SwapClientServer(running.Daemon), call.server)
	require.NoError(t, call.life.Err())
	call.done()
	stream, streamCtx, err := d.enterStream(t.Context())
	require.NoError(t, err)

	ended <- nil
	<-streamCtx.Done()
	<-call.life.Done()
	stream.done()
	stop()
	<-done
	require.ErrorIs(t, downStatus(errTest), errTest)
}

// TestGuardAddress checks that the starter says whether an address may be made.
func TestGuardAddress(t *testing.T) {
	d := &Daemon{starter: newStarter(starterConfig{})}
	requireReason(t, d.guardAddress(), states.Starting)
}

// TestAddressText checks that the address of a row is written as upstream
// writes it.
func TestAddressText(t *testing.T) {
	_, client := btcec.PrivKeyFromBytes([]byte{1})
	_, server := btcec.PrivKeyFromBytes([]byte{2})
	descriptor := staticaddr.Descriptor{
		ServerKey: server, ClientKey: client, Expiry: 1_000,
	}
	row, err := descriptor.Parameters()
	require.NoError(t, err)
	address, err := addressOf(row, &chaincfg.RegressionNetParams)
	require.NoError(t, err)
	require.Contains(t, address, "bcrt1p")

	row.PkScript = row.PkScript[:3]
	_, err = addressOf(row, &chaincfg.RegressionNetParams)
	require.Error(t, err)
}
