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

// runWhileOwner runs one daemon after the other: when a daemon loses the lock
// on its database it stops whole, and the next one begins as a standby.
func runWhileOwner(ctx context.Context, cfg *Config) error {
	var reason states.Reason
	for {
		daemon, err := NewDaemon(ctx, cfg)
		if err != nil {
			return err
		}
		daemon.bar(reason)

		err = daemon.Run()
		again := errors.Is(err, owner.ErrLockLost) &&
			!errors.Is(err, errLeftBehind) && ctx.Err() == nil
		if !again {
			return err
		}
		log.Errorf("Starting over: %v", err)
		reason = states.LockLost
	}
}

// Run answers on both ports, becomes the owner of the data directory and of
// the database, recovers what has to be recovered and keeps the embedded daemon
// running, until Stop. It returns owner.ErrLockLost if everything was stopped because
// the database is not ours any more.
func (d *Daemon) Run() error {
	defer d.stop()

	owned, err := d.owner.TryDirectory()
	if err != nil {
		return err
	}
	if !owned && !d.owner.Shared() {
		return fmt.Errorf("another loopd owns %s; nothing was "+
			"started", d.cfg.DataDir)
	}

	servers, err := d.serve()
	if err != nil {
		d.owner.Release()
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- d.work() }()

	select {
	case err = <-failed:
		failed <- nil

	case err = <-servers.failed:

	case <-d.owner.Lost():
		err = owner.ErrLockLost

	case <-d.shutdown.Done():
	}
	d.stop()

	endErr := d.end(servers, failed)
	if errors.Is(endErr, errLeftBehind) && !errors.Is(err, owner.ErrLockLost) {
		log.Warnf("%v", endErr)
		endErr = nil
	}

	return errors.Join(err, endErr)
}

// errLeftBehind ends the process: something that needs an owner may still run.
var errLeftBehind = errors.New("not everything had stopped in time; the " +
	"process ends")

// end stops what is left, the ports last but for a moment, and gives the locks
// up. It takes no longer than stopLimit.
func (d *Daemon) end(servers *servers, failed <-chan error) error {
	ended := make(chan error, 1)
	go func() {
		servers.stop()
		err := <-failed
		d.closeStores()
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
