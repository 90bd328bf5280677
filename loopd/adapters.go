package loopd

import (
	"context"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/internal/keeper"
)

// newKeeper returns what keeps the backups.
func (d *Daemon) newKeeper(files durable.FS) *keeper.Keeper {
	return keeper.New(d.shutdown, keeper.Config{
		Network:       d.cfg.Network,
		DataDir:       d.cfg.DataDir,
		Places:        d.cfg.Recovery.BackupDirs,
		Files:         files,
		Memory:        d.journal.Keeper(),
		Keys:          d.backupKeys,
		Node:          d.keys,
		Chain:         d.chain,
		Tokens:        d.tokens,
		Rows:          d.database,
		IndexBound:    d.cfg.Recovery.KeySearch,
		CheckInterval: d.cfg.Recovery.CheckInterval,
	})
}

// backupKeys returns the keys of this lnd's seed. They are not kept.
func (d *Daemon) backupKeys(ctx context.Context) (backup.Keys, error) {
	lnd, err := d.node.Services()
	if err != nil {
		return backup.Keys{}, err
	}

	return backup.DeriveKeys(ctx, lnd.Signer)
}
