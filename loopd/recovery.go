package loopd

import (
	"context"
	"errors"
	"slices"

	"github.com/looprecovery/looprecovery/internal/await"
	"github.com/looprecovery/looprecovery/internal/lndnode"
	"github.com/looprecovery/looprecovery/internal/recoveryserver"
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
		Gate:    &gateView{Gate: d.gate, waiting: &d.waiting},
		Notices: d.notices,
		Waiting: func(err error) states.Reason {
			if errors.Is(err, lndnode.ErrNotReady) {
				return await.NewState(err).Reason
			}

			return ""
		},
		Params:  d.params,
		Version: Version(),
		Life:    d.shutdown,
	})
}

// notices returns what stands in the way of safety, from memory.
func (d *Daemon) notices() []states.Notice {
	return slices.Concat(
		d.keeper.Notices(), d.starter.notices(),
		d.journal.Report().Notices(), d.blindNotices(),
	)
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
