package lndnode

import (
	"github.com/btcsuite/btclog/v2"
	"github.com/lightningnetwork/lnd/build"
)

// Subsystem is the tag of this package's log lines.
const Subsystem = "LNDN"

// log is the package's logger; it is silent until UseLogger is called.
var log = build.NewSubLogger(Subsystem, nil)

// UseLogger sets the package's logger.
func UseLogger(logger btclog.Logger) {
	log = logger
}
