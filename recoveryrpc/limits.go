package recoveryrpc

// MaxBackupFile is the largest backup file that StartRecovery accepts, in
// bytes.
const MaxBackupFile = 1 << 20

// MaxRuns is the largest number of runs that ListRecoveries returns.
const MaxRuns = 100
