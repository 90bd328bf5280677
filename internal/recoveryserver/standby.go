package recoveryserver

import "github.com/looprecovery/looprecovery/recoveryrpc"

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

// NeedsOwner reports whether a method, by its full name, is one of the Recovery
// service that only the owner of the database may answer.
func NeedsOwner(method string) bool {
	_, ours := recoveryrpc.RequiredPermissions[method]

	return ours && !answeredByStandby[method]
}
