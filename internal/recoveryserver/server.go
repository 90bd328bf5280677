package recoveryserver

import (
	"context"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
)

// Config is everything a Server needs. No field may be nil.
type Config struct {
	// Engine runs recoveries and knows them.
	Engine *recoveryfsm.Engine

	// Deps are the ports of the actions, with which a restore is planned.
	Deps actions.Deps

	// Keeper knows the backups.
	Keeper Keeper

	// Gate knows the embedded daemon.
	Gate Gate

	// Notices returns the standing warnings, from memory.
	Notices func() []states.Notice

	// Waiting returns the reason that an error of a port stands for if it
	// only means that something else is not ready, such as lnd, or the
	// empty reason.
	Waiting func(error) states.Reason

	// Params are the parameters of the network that loopd runs on.
	Params *chaincfg.Params

	// Version is what this loopd calls itself.
	Version string

	// Life ends when the process was asked to stop; streams end with it.
	Life context.Context
}

// Server implements recoveryrpc.RecoveryServer. Its methods are called from
// many goroutines at once.
type Server struct {
	recoveryrpc.UnimplementedRecoveryServer

	cfg    Config
	engine *recoveryfsm.Engine
	life   context.Context
}

// A compile-time check of the interface.
var _ recoveryrpc.RecoveryServer = (*Server)(nil)

// New returns a server. It answers as soon as the ports do.
func New(cfg Config) *Server {
	return &Server{cfg: cfg, engine: cfg.Engine, life: cfg.Life}
}
