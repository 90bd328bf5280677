package recoveryserver

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/recoveryrpc"
)

// Config is everything a Server needs. No field may be nil.
type Config struct {
	// Engine runs recoveries and knows them.
	Engine *recoveryfsm.Engine

	// Deps are the ports of the actions, with which a restore is planned.
	Deps actions.Deps

	// Keeper knows the backups, Gate the embedded daemon, and Daemon what
	// is around it.
	Keeper Keeper
	Gate   Gate
	Daemon Daemon

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

	// listing is what the embedded daemon last listed of a result, nil if
	// it was not asked; asking says that it is being asked.
	listing atomic.Pointer[listing]
	asking  atomic.Bool

	// askEvery is the time between two questions for its deposits.
	askEvery time.Duration
}

// A compile-time check of the interface.
var _ recoveryrpc.RecoveryServer = (*Server)(nil)

// New returns a server. It answers as soon as the ports do.
func New(cfg Config) *Server {
	return &Server{
		cfg: cfg, engine: cfg.Engine, life: cfg.Life,
		askEvery: askEvery,
	}
}
