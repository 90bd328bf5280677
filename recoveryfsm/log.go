package recoveryfsm

import "github.com/btcsuite/btclog/v2"

// Subsystem is the tag of this package's log lines.
const Subsystem = "RFSM"

// log writes nothing until UseLogger is called.
var log = btclog.Disabled

// UseLogger makes the package log to the given logger.
func UseLogger(logger btclog.Logger) {
	log = logger
}
