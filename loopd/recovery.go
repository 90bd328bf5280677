package loopd

import (
	"context"
	"errors"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/internal/recoveryserver"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"google.golang.org/grpc"
)

// recoveryService is the Recovery service as it is registered before the
// stores are open. Nobody is authenticated before they are.
type recoveryService struct {
	recoveryrpc.RecoveryServer
}

// newRecoveryServer returns the Recovery service of this daemon.
func (d *Daemon) newRecoveryServer() *recoveryserver.Server {
	return recoveryserver.New(recoveryserver.Config{
		Engine:  d.engine,
		Deps:    d.deps,
		Keeper:  &keeperPort{daemon: d},
		Gate:    &gateView{gate: d.gate},
		Notices: d.notices,
		Waiting: func(err error) states.Reason {
			if errors.Is(err, errLndNotReady) {
				return states.LndDown
			}

			return ""
		},
		Params:  d.params,
		Version: Version(),
		Life:    d.shutdown,
	})
}

// notices returns what stands in the way of safety.
func (d *Daemon) notices() []states.Notice {
	result := d.protector.standing()
	if d.addressAlone(d.shutdown) {
		result = append(result, states.Notice{
			Warning: states.WarnAddressAlone,
		})
	}
	if d.backups.store.OnOneDisk() {
		result = append(result, states.Notice{
			Warning: states.WarnOneDisk,
		})
	}

	return append(result, d.blindNotices()...)
}

// addressAlone reports whether there is an address without its token.
func (d *Daemon) addressAlone(ctx context.Context) bool {
	probe, err := d.tokens.Probe()
	if err != nil || probe.Status == generation.TokenPaid {
		return false
	}
	rows, err := d.database.All(ctx)

	return err == nil && len(rows) > 0
}

// gateView is the gate as the Recovery service sees it.
type gateView struct {
	gate *gate
}

// A compile-time check of the port.
var _ recoveryserver.Gate = (*gateView)(nil)

// Status implements recoveryserver.Gate.
func (v *gateView) Status() recoveryserver.GateStatus {
	held, up, reason := v.gate.status()

	state := recoveryrpc.DaemonState_DAEMON_DOWN
	switch {
	case up && !held:
		return recoveryserver.GateStatus{
			State: recoveryrpc.DaemonState_DAEMON_UP,
		}

	case held && reason != states.Starting:
		state = recoveryrpc.DaemonState_DAEMON_HELD
		reason = states.RecoveryActive

	case reason == states.Starting:
		state = recoveryrpc.DaemonState_DAEMON_STARTING
	}

	return recoveryserver.GateStatus{State: state, Reason: reason}
}

// Task implements recoveryserver.Gate.
func (v *gateView) Task(ctx context.Context) (string, error) {
	return v.gate.task(ctx)
}

// keeperPort is what keeps the backups, as the Recovery service sees it.
type keeperPort struct {
	daemon *Daemon
}

// A compile-time check of the port.
var _ recoveryserver.Keeper = (*keeperPort)(nil)

// JudgeAll implements recoveryserver.Keeper.
func (p *keeperPort) JudgeAll(ctx context.Context) ([]recoveryserver.Judged,
	error) {

	files, err := p.daemon.judgeAll(ctx)
	result := make([]recoveryserver.Judged, 0, len(files))
	for _, file := range files {
		result = append(result, recoveryserver.Judged(file))
	}

	return result, err
}

// JudgeBytes implements recoveryserver.Keeper.
func (p *keeperPort) JudgeBytes(ctx context.Context, name string,
	data []byte) (backup.Entry, error) {

	return p.daemon.judge.bytes(ctx, name, data)
}

// Receive implements recoveryserver.Keeper.
func (p *keeperPort) Receive(_ context.Context, data []byte) (string, error) {
	return p.daemon.backups.store.Receive(data)
}

// Create implements recoveryserver.Keeper.
func (p *keeperPort) Create(ctx context.Context) (*backup.Report, error) {
	return p.daemon.protector.create(ctx)
}

// Import implements recoveryserver.Keeper.
func (p *keeperPort) Import(ctx context.Context, data []byte,
	content *backup.Content) (backup.Report, error) {

	keys, err := p.daemon.backups.keys(ctx)
	if err != nil {
		return backup.Report{}, err
	}

	return p.daemon.backups.store.Import(ctx, data, content, keys)
}

// Export implements recoveryserver.Keeper.
func (p *keeperPort) Export(ctx context.Context, entry backup.Entry,
	format backup.Format) (string, []byte, error) {

	keys, err := p.daemon.backups.keys(ctx)
	if err != nil {
		return "", nil, err
	}

	return p.daemon.backups.store.Export(entry, format, keys)
}

// Behind implements recoveryserver.Keeper.
func (p *keeperPort) Behind() []recoveryserver.Lag {
	var result []recoveryserver.Lag
	for _, lag := range p.daemon.protector.behind() {
		result = append(result, recoveryserver.Lag{
			Place: lag.place, TokenID: lag.tokenID,
			Since: lag.since, Err: lag.err,
		})
	}

	return result
}

// ownerOnly refuses the calls that only an owner may answer, with the reason
// why this process is none. Upstream's calls are refused by the gate.
func (d *Daemon) ownerOnly(ctx context.Context, req any,
	info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {

	if recoveryserver.NeedsOwner(info.FullMethod) && !d.owner.Owns() {
		_, _, reason := d.gate.status()

		return nil, recoveryrpc.StatusError(reason, "")
	}

	return handler(ctx, req)
}
