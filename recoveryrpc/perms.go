package recoveryrpc

import "gopkg.in/macaroon-bakery.v2/bakery"

// readOps are what a caller needs to look at recoveries and backups: they show
// the id of the L402 token, the static address and its deposits.
var readOps = []bakery.Op{
	{Entity: "auth", Action: "read"},
	{Entity: "swap", Action: "read"},
}

// writeOps are what a caller needs to act on recoveries and backups: they place
// an L402 token and a static address, or show the token.
var writeOps = []bakery.Op{
	{Entity: "auth", Action: "write"},
	{Entity: "loop", Action: "in"},
}

// RequiredPermissions maps the full name of each method to the operations that
// the caller's macaroon must allow. All of them are operations that upstream's
// looprpc.RequiredPermissions has too, so that a user's loop.macaroon needs no
// baking anew.
var RequiredPermissions = map[string][]bakery.Op{
	Recovery_StartRecovery_FullMethodName:     writeOps,
	Recovery_GetRecovery_FullMethodName:       readOps,
	Recovery_SubscribeRecovery_FullMethodName: readOps,
	Recovery_ListRecoveries_FullMethodName:    readOps,
	Recovery_ResumeRecovery_FullMethodName:    writeOps,
	Recovery_CancelRecovery_FullMethodName:    writeOps,
	Recovery_ListBackups_FullMethodName:       readOps,
	Recovery_GetHistory_FullMethodName:        readOps,
	Recovery_PlanRestore_FullMethodName:       readOps,
	Recovery_VerifyBackup_FullMethodName:      readOps,
	Recovery_InspectBackup_FullMethodName:     readOps,
	Recovery_RevealBackup_FullMethodName:      writeOps,
	Recovery_CreateBackup_FullMethodName:      writeOps,
	Recovery_ExportBackup_FullMethodName:      readOps,
	Recovery_ImportBackup_FullMethodName:      writeOps,
}
