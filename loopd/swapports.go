package loopd

import (
	"context"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/looprecovery/looprecovery/internal/gate"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
)

// newSwapClient returns the wrapper around upstream's service, on the gate and
// on what protects an address.
func (d *Daemon) newSwapClient() *swapClient {
	return newSwapClient(swapClientConfig{
		enter:       d.enter,
		enterStream: d.enterStream,
		stop:        d.Stop,
		provisional: func(ctx context.Context) ([]wire.OutPoint,
			error) {

			return d.view.Provisional(ctx)
		},
		address: addressConfig{
			hrp:       d.params.Bech32HRPSegwit,
			guard:     d.guardAddress,
			addresses: d.addresses,
			watch:     d.watchAddress,
			protect:   d.protectAddress,
			birth: func(ctx context.Context) func(context.Context) {
				return d.keeper.WatchPair(ctx).Seen
			},
		},
	})
}

// enter lets a call through to the embedded daemon of the moment.
func (d *Daemon) enter(ctx context.Context) (*admitted, error) {
	running, done, err := d.gate.Enter(ctx)
	if err != nil {
		return nil, downStatus(err)
	}

	return &admitted{
		server: running.Daemon, life: running.Context(), done: done,
	}, nil
}

// enterStream does the same for a stream.
func (d *Daemon) enterStream(ctx context.Context) (*admitted, context.Context,
	error) {

	running, ctx, done, err := d.gate.EnterStream(ctx)
	if err != nil {
		return nil, nil, downStatus(err)
	}

	return &admitted{
		server: running.Daemon, life: running.Context(), done: done,
	}, ctx, nil
}

// downStatus returns the gRPC status of a call that the gate refused.
func downStatus(err error) error {
	var down *gate.DownError
	if errors.As(err, &down) {
		return recoveryrpc.StatusError(down.Reason, "")
	}

	return err
}

// guardAddress says why no address may be made or handed out now.
func (d *Daemon) guardAddress() error {
	reason := d.starter.addressesRefused()
	if reason == "" {
		return nil
	}

	return recoveryrpc.StatusError(reason, "")
}

// addresses returns the static addresses in the embedded daemon's database.
func (d *Daemon) addresses(ctx context.Context) ([]string, error) {
	rows, err := d.database.All(ctx)
	if err != nil {
		return nil, err
	}

	var result []string
	for _, row := range rows {
		address, err := addressOf(row, d.params)
		if err != nil {
			return nil, err
		}
		result = append(result, address)
	}

	return result, nil
}

// addressOf returns the address of a row as upstream writes it.
func addressOf(row *script.Parameters, params *chaincfg.Params) (string,
	error) {

	_, addresses, _, err := txscript.ExtractPkScriptAddrs(
		row.PkScript, params,
	)
	if err != nil {
		return "", err
	}
	if len(addresses) != 1 {
		return "", fmt.Errorf("the script %x has no address",
			row.PkScript)
	}

	return addresses[0].EncodeAddress(), nil
}

// protectAddress makes sure that the address in place has its backup wherever
// the user wants it, or returns a status with the reason.
func (d *Daemon) protectAddress(ctx context.Context) error {
	err := d.keeper.Protect(ctx, d.cfg.Recovery.MinCopies)
	if err == nil {
		return nil
	}
	reason, permanent := states.PermanentReason(err)
	if !permanent {
		reason = states.NotProtected
	}

	return recoveryrpc.StatusError(reason, err.Error())
}
