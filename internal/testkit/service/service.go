// Package service is the Recovery service of a loopd in memory: the real
// service, engine, keeper and actions, on an lnd, a chain and a disk of package
// twin. Tests speak to it over gRPC as a program would.
package service

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/internal/gate"
	"github.com/looprecovery/looprecovery/internal/keeper"
	"github.com/looprecovery/looprecovery/internal/recoveryserver"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
)

// maxPlaceEntries is more than a place of a test holds.
const maxPlaceEntries = 1000

// retryDelay is the wait between two attempts of a run.
const retryDelay = time.Millisecond

// errDown is the error of a question to an embedded daemon that is not up.
var errDown = errors.New("the swap client is not up")

// Service is a Recovery service and the world around it.
type Service struct {
	*recoveryserver.Server

	World   *twin.World
	Journal *recoveryfsm.MemoryJournal
	Engine  *recoveryfsm.Engine
	Keeper  *keeper.Keeper
	Daemon  *Daemon

	// end ends the process.
	end context.CancelFunc
}

// New returns a service on a new world.
func New() *Service {
	s := &Service{
		World:   twin.NewWorld(),
		Journal: recoveryfsm.NewMemoryJournal(),
		Daemon:  &Daemon{},
	}
	s.start()

	return s
}

// Restart stops the process and starts another one on the same world.
func (s *Service) Restart() {
	s.Stop()
	s.start()
}

// Stop ends the process.
func (s *Service) Stop() {
	s.end()
	s.Engine.Stop()
}

// start begins a process.
func (s *Service) start() {
	life, end := context.WithCancel(context.Background())
	s.end = end

	deps := s.World.Deps()
	s.Keeper = keeper.New(life, keeper.Config{
		Network: twin.Network,
		DataDir: twin.DataDir,
		Places:  []string{twin.SecondDir},
		Files:   s.World.Disk,
		Disk:    everyDisk{s.World.Disk},
		Keys: func(ctx context.Context) (backup.Keys, error) {
			return backup.DeriveKeys(ctx, s.World.Lnd)
		},
		Node:       deps.Node,
		Chain:      deps.Chain,
		Tokens:     generation.NewFiles(s.World.Disk, twin.DataDir),
		Rows:       deps.Rows,
		IndexBound: twin.IndexBound,
	})
	deps.Backups = s.Keeper
	s.Engine = recoveryfsm.New(recoveryfsm.Config{
		Journal: s.Journal,
		Actions: func(id string) map[states.State]actions.Action {
			return actions.Set(deps, id)
		},
		Backoff: recoveryfsm.Backoff{
			Min: retryDelay, Max: retryDelay,
		},
	})
	s.Daemon.world, s.Daemon.engine = s.World, s.Engine
	s.Server = recoveryserver.New(recoveryserver.Config{
		Engine:  s.Engine,
		Deps:    deps,
		Keeper:  s.Keeper,
		Gate:    s.Daemon,
		Daemon:  s.Daemon,
		Params:  s.World.Lnd.Params(),
		Version: "in memory",
		Life:    life,
	})
}

// everyDisk tells directories apart by their paths alone.
type everyDisk struct {
	disk *twin.Disk
}

// Identify implements keeper.Disk.
func (d everyDisk) Identify(path string) (keeper.Identity, error) {
	_, err := d.disk.ReadDir(path, maxPlaceEntries)

	return keeper.Identity{}, err
}

// Daemon is what is around the service. Tests set it.
type Daemon struct {
	world  *twin.World
	engine *recoveryfsm.Engine

	mu       sync.Mutex
	cause    error
	notices  []states.Notice
	look     *actions.Look
	deposits []string
}

// Compile-time checks of the ports.
var (
	_ recoveryserver.Gate   = (*Daemon)(nil)
	_ recoveryserver.Daemon = (*Daemon)(nil)
)

// Set says why the embedded daemon does not start, nil if it is up.
func (d *Daemon) Set(cause error) {
	d.mu.Lock()
	defer d.mu.Unlock()

	d.cause = cause
}

// Warn sets the standing warnings.
func (d *Daemon) Warn(notices ...states.Notice) {
	d.mu.Lock()
	defer d.mu.Unlock()

	d.notices = notices
}

// SetLook sets what the look for backups at the start found.
func (d *Daemon) SetLook(look *actions.Look) {
	d.mu.Lock()
	defer d.mu.Unlock()

	d.look = look
}

// List sets the outpoints that the embedded daemon lists.
func (d *Daemon) List(outpoints ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()

	d.deposits = outpoints
}

// Status implements recoveryserver.Gate.
func (d *Daemon) Status() gate.Status {
	cause, _ := states.CauseOf(d.Cause())
	switch {
	case cause.Reason != "":
		return gate.Status{Reason: cause.Reason}

	case d.world.Gate.Closed():
		holder := gate.Holder{
			Name: "recovery", Reason: states.RecoveryActive,
		}

		return gate.Status{
			Holders: []gate.Holder{holder},
			Reason:  holder.Reason,
		}

	default:
		return gate.Status{State: gate.Up}
	}
}

// Task implements recoveryserver.Gate.
func (d *Daemon) Task(context.Context) (string, error) {
	if d.world.Gate.Busy() {
		return "loop-out swap in flight", nil
	}

	return "", nil
}

// Cause implements recoveryserver.Daemon.
func (d *Daemon) Cause() error {
	d.mu.Lock()
	defer d.mu.Unlock()

	return d.cause
}

// Notices implements recoveryserver.Daemon.
func (d *Daemon) Notices() []states.Notice {
	d.mu.Lock()
	defer d.mu.Unlock()

	return d.notices
}

// LastLook implements recoveryserver.Daemon.
func (d *Daemon) LastLook() *actions.Look {
	d.mu.Lock()
	defer d.mu.Unlock()

	return d.look
}

// GiveUp implements recoveryserver.Daemon: it ends what is waited for.
func (d *Daemon) GiveUp(ctx context.Context) (*recoveryfsm.Run, error) {
	reason, _ := states.PermanentReason(d.Cause())
	if reason != states.BackupAwaited && reason != states.PlacesUnanswered {
		return nil, nil
	}
	run, err := d.engine.Start(
		ctx, states.Restore, actions.Request{Automatic: true},
	)
	if err != nil {
		return nil, err
	}
	run, err = d.engine.Cancel(ctx, run.ID)
	if err == nil {
		d.Set(nil)
	}

	return &run, err
}

// Deposits implements recoveryserver.Daemon.
func (d *Daemon) Deposits(context.Context) ([]string, error) {
	if d.Status().State != gate.Up {
		return nil, errDown
	}
	d.mu.Lock()
	defer d.mu.Unlock()

	return d.deposits, nil
}
