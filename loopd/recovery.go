package loopd

import (
	"context"
	"slices"

	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/internal/recoveryserver"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"google.golang.org/grpc"
)

// newRecoveryServer returns the Recovery service of this daemon.
func (d *Daemon) newRecoveryServer() *recoveryserver.Server {
	return recoveryserver.New(recoveryserver.Config{
		Engine:  d.engine,
		Deps:    d.deps,
		Keeper:  d.keeper,
		Gate:    d.gate,
		Daemon:  &daemonView{daemon: d},
		Params:  d.params,
		Version: Version(),
		Life:    d.shutdown,
	})
}

// daemonView is this daemon as the Recovery service sees it.
type daemonView struct {
	daemon *Daemon
}

// A compile-time check of the port.
var _ recoveryserver.Daemon = (*daemonView)(nil)

// Cause implements recoveryserver.Daemon.
func (v *daemonView) Cause() error {
	waiting := v.daemon.waiting.Load()
	if waiting == nil {
		return nil
	}

	return waiting.Err
}

// Notices implements recoveryserver.Daemon.
func (v *daemonView) Notices() []states.Notice {
	d := v.daemon

	return slices.Concat(
		d.keeper.Notices(), d.starter.notices(),
		d.journal.Report().Notices(), d.blindNotices(),
	)
}

// LastLook implements recoveryserver.Daemon.
func (v *daemonView) LastLook() *actions.Look {
	return v.daemon.look.Load()
}

// GiveUp implements recoveryserver.Daemon.
func (v *daemonView) GiveUp(ctx context.Context) (*recoveryfsm.Run, error) {
	return v.daemon.starter.giveUp(ctx)
}

// Deposits implements recoveryserver.Daemon.
func (v *daemonView) Deposits(ctx context.Context) ([]string, error) {
	running, done, err := v.daemon.gate.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer done()

	answer, err := running.ListStaticAddressDeposits(
		ctx, &looprpc.ListStaticAddressDepositsRequest{},
	)
	if err != nil {
		return nil, err
	}
	var outpoints []string
	for _, deposit := range answer.FilteredDeposits {
		outpoints = append(outpoints, deposit.Outpoint)
	}

	return outpoints, nil
}

// ownerOnly refuses the calls that only an owner may answer, with the reason
// why this process is none. Upstream's calls are refused by the gate.
func (d *Daemon) ownerOnly(ctx context.Context, req any,
	info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {

	if recoveryserver.NeedsOwner(info.FullMethod) && !d.owner.Owns() {
		reason := d.gate.Status().Reason

		return nil, recoveryrpc.StatusError(reason, "")
	}

	return handler(ctx, req)
}
