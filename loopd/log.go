package loopd

import (
	"github.com/btcsuite/btclog/v2"
	"github.com/lightningnetwork/lnd/build"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/internal/gate"
	"github.com/looprecovery/looprecovery/internal/keeper"
	"github.com/looprecovery/looprecovery/internal/lndnode"
	"github.com/looprecovery/looprecovery/internal/owner"
	"github.com/looprecovery/looprecovery/lndview"
	"github.com/looprecovery/looprecovery/recoverydb"
	"github.com/looprecovery/looprecovery/recoveryfsm"
)

// Subsystem is the tag of this package's log lines.
const Subsystem = "RCVD"

// log is the package's logger; it is silent until UseLogger is called.
var log = build.NewSubLogger(Subsystem, nil)

// UseLogger sets the package's logger.
func UseLogger(logger btclog.Logger) {
	log = logger
}

// loggers are the subsystems of our packages and the functions that set their
// loggers.
var loggers = map[string]func(btclog.Logger){
	Subsystem:             UseLogger,
	backup.Subsystem:      backup.UseLogger,
	keeper.Subsystem:      keeper.UseLogger,
	chainscan.Subsystem:   chainscan.UseLogger,
	gate.Subsystem:        gate.UseLogger,
	lndview.Subsystem:     lndview.UseLogger,
	lndnode.Subsystem:     lndnode.UseLogger,
	owner.Subsystem:       owner.UseLogger,
	recoverydb.Subsystem:  recoverydb.UseLogger,
	recoveryfsm.Subsystem: recoveryfsm.UseLogger,
}
