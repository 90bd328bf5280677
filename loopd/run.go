package loopd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/looprecovery/looprecovery/internal/owner"
	"github.com/looprecovery/looprecovery/states"
)

// stopLimit is how long everything may take to end once it was asked to. What
// does not is left to the end of the process: it can be killed anywhere.
const stopLimit = 2500 * time.Millisecond

// errLeftBehind ends the process: something that needs an owner may still run.
var errLeftBehind = errors.New("not everything had stopped in time; the " +
	"process ends")

// runWhileOwner runs one daemon after the other: when a daemon loses the lock
// on its database it stops whole, and the next one begins as a standby.
func runWhileOwner(ctx context.Context, cfg *Config) error {
	var reason states.Reason
	for {
		err := runOnce(ctx, cfg, reason)
		again := errors.Is(err, owner.ErrLockLost) &&
			!errors.Is(err, errLeftBehind) && ctx.Err() == nil
		if !again {
			return err
		}
		log.Errorf("Starting over: %v", err)
		reason = states.LockLost
	}
}

// runOnce becomes the owner of the data directory and runs one daemon, which
// gives the reason as long as it does not know a newer one.
func runOnce(ctx context.Context, cfg *Config, reason states.Reason) error {
	own := newOwner(cfg)
	daemon, err := newOwned(ctx, cfg, own)
	if err != nil || daemon == nil {
		own.Release()

		return err
	}
	daemon.bar(reason)

	return daemon.Run()
}

// newOwned returns a daemon when the data directory is ours, or nothing if the
// context ends before.
func newOwned(ctx context.Context, cfg *Config, own *owner.Owner) (*Daemon,
	error) {

	owned, err := own.TryDirectory()
	if err != nil {
		return nil, err
	}
	if !owned && !own.Shared() {
		return nil, fmt.Errorf("another loopd owns %s; nothing was "+
			"started", cfg.DataDir)
	}
	if !owned {
		err := standBy(ctx, cfg, own)
		if err != nil || ctx.Err() != nil {
			return nil, err
		}
	}

	return NewDaemon(ctx, cfg, own)
}

// standBy answers every call with the reason until the data directory is ours,
// or the context ends: nobody can be authenticated here, since the macaroons
// are in use.
func standBy(ctx context.Context, cfg *Config, own *owner.Owner) error {
	servers, err := serve(cfg, standbyService())
	if err != nil {
		return err
	}
	defer servers.stop()

	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	owned := make(chan error, 1)
	go func() {
		owned <- own.AwaitDirectory(waiting, func(states.Reason) {})
	}()

	select {
	case err = <-servers.failed:
		cancel()
		<-owned

	case err = <-owned:
	}
	if ctx.Err() != nil {
		return nil
	}

	return err
}

// Run answers on both ports, becomes the owner of the database, recovers what
// has to be recovered and keeps the embedded daemon running, until Stop. It
// returns owner.ErrLockLost if everything was stopped because the database is
// not ours any more. It is called once.
func (d *Daemon) Run() error {
	defer d.stop()

	servers, err := serve(d.cfg, d.services())
	if err != nil {
		err = errors.Join(err, d.end())
		d.owner.Release()

		return err
	}
	worked := make(chan error, 1)
	go func() { worked <- d.work() }()

	select {
	case err = <-worked:
		worked <- nil

	case err = <-servers.failed:

	case err = <-d.fatal:

	case <-d.owner.Lost():
		err = owner.ErrLockLost

	case <-d.shutdown.Done():
	}
	d.stop()

	endErr := d.endInTime(servers, worked)
	if errors.Is(endErr, errLeftBehind) &&
		!errors.Is(err, owner.ErrLockLost) {

		log.Warnf("%v", endErr)
		endErr = nil
	}

	return errors.Join(err, endErr)
}

// endInTime stops what is left, the ports last but for a moment, and gives the
// locks up, unless something does not stop. It takes no longer than stopLimit.
func (d *Daemon) endInTime(servers *servers, worked <-chan error) error {
	ended := make(chan error, 1)
	go func() {
		servers.stop()
		err := <-worked
		if closeErr := d.end(); closeErr != nil {
			log.Errorf("Unable to close the databases: %v",
				closeErr)
		}
		d.owner.Release()
		ended <- err
	}()

	select {
	case err := <-ended:
		return err

	case <-time.After(stopLimit):
		return errLeftBehind
	}
}
