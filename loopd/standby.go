package loopd

import (
	"context"

	"github.com/looprecovery/looprecovery/recoveryrpc"
	"google.golang.org/grpc"
)

// answeredByStandby are the calls of the Recovery service that need no owner:
// they read the journal and the backup files of this directory only. The others
// are refused while another process owns the database. Upstream's calls are
// refused by the gate.
var answeredByStandby = map[string]bool{
	recoveryrpc.Recovery_GetRecovery_FullMethodName:       true,
	recoveryrpc.Recovery_SubscribeRecovery_FullMethodName: true,
	recoveryrpc.Recovery_ListRecoveries_FullMethodName:    true,
	recoveryrpc.Recovery_GetHistory_FullMethodName:        true,
	recoveryrpc.Recovery_ListBackups_FullMethodName:       true,
	recoveryrpc.Recovery_VerifyBackup_FullMethodName:      true,
	recoveryrpc.Recovery_InspectBackup_FullMethodName:     true,
	recoveryrpc.Recovery_ExportBackup_FullMethodName:      true,
}

// ownerOnly refuses the calls that only an owner may answer, with the reason
// why this process is none.
func (d *Daemon) ownerOnly(ctx context.Context, req any,
	info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {

	method := info.FullMethod
	_, ours := recoveryrpc.RequiredPermissions[method]
	if ours && !answeredByStandby[method] && !d.owner.owns.Load() {
		_, _, reason := d.gate.status()

		return nil, recoveryrpc.StatusError(reason, "")
	}

	return handler(ctx, req)
}
