package loopd

import (
	"context"

	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
)

// embeddedStatus says how the embedded daemon is.
func (d *Daemon) embeddedStatus() *recoveryrpc.DaemonStatus {
	held, up, reason := d.gate.status()

	result := &recoveryrpc.DaemonStatus{
		Network: d.cfg.Network,
		Version: Version(),
	}
	switch {
	case up && !held:
		result.State = recoveryrpc.DaemonState_DAEMON_UP
		return result

	case held && reason != states.Starting:
		result.State = recoveryrpc.DaemonState_DAEMON_HELD
		reason = states.RecoveryActive

	case reason == states.Starting:
		result.State = recoveryrpc.DaemonState_DAEMON_STARTING

	default:
		result.State = recoveryrpc.DaemonState_DAEMON_DOWN
	}

	explanation := states.Explain(reason)
	result.Reason = string(reason)
	result.Sentence = explanation.Sentence
	result.NextCommand = explanation.Next

	return result
}

// warnings returns what stands in the way of safety.
func (d *Daemon) warnings(ctx context.Context) []*recoveryrpc.Warning {
	result := d.protector.standing()
	if warning := d.rowAloneWarning(ctx); warning != nil {
		result = append(result, warning)
	}
	if d.backups.store.OnOneDisk() {
		result = append(result, marshalWarning(states.WarnOneDisk, ""))
	}

	return append(result, d.blindWarnings()...)
}

// rowAloneWarning warns of an address without its token.
func (d *Daemon) rowAloneWarning(ctx context.Context) *recoveryrpc.Warning {
	probe, err := d.tokens.Probe()
	if err != nil || probe.Status == generation.TokenPaid {
		return nil
	}
	rows, err := d.database.All(ctx)
	if err != nil || len(rows) == 0 {
		return nil
	}

	return marshalWarning(states.WarnAddressAlone, "")
}
