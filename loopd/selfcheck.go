package loopd

import (
	"context"
	"fmt"
	"time"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/recoveryserver"
	"github.com/looprecovery/looprecovery/states"
)

// copyRetryInterval is how often a backup that is missing in a place is tried
// to be written there again.
const copyRetryInterval = time.Minute

// keepBackups keeps the backups as they should be for as long as the daemon
// lives: what is missing in a place is written as soon as that place takes it,
// and every copy is read, decrypted and judged at each interval. Nothing that
// it finds ends the daemon; it becomes a warning.
func (d *Daemon) keepBackups(ctx context.Context) {
	interval := d.cfg.Recovery.CheckInterval
	retry := copyRetryInterval
	if interval != 0 {
		retry = min(retry, interval)
	}

	lastCheck := time.Time{}
	for ctx.Err() == nil {
		if d.protector.incomplete() {
			// What is wrong is kept as a warning.
			_ = d.protector.protect(ctx, 0)
		}
		if interval != 0 && time.Since(lastCheck) >= interval {
			if err := d.checkBackups(ctx); err != nil {
				log.Warnf("The backups could not be checked: "+
					"%v", err)
			} else {
				lastCheck = time.Now()
			}
		}

		if pause(ctx, retry) != nil {
			return
		}
	}
}

// checkBackups is one check of every copy, and of whether every place has one.
func (d *Daemon) checkBackups(ctx context.Context) error {
	// A copy that is missing is written again; if that fails it is a
	// warning already.
	_ = d.protector.protect(ctx, 0)

	files, err := d.judgeAll(ctx)
	if err != nil && len(recoveryserver.PlaceErrors(err)) == 0 {
		return err
	}
	log.Infof("Checked %d backup files", len(files))

	return nil
}

// judgeAll judges every copy and keeps what is wrong as warnings. The error is
// as that of judge.all.
func (d *Daemon) judgeAll(ctx context.Context) ([]judged, error) {
	files, err := d.judge.all(ctx)
	places := recoveryserver.PlaceErrors(err)
	if err != nil && len(places) == 0 {
		return nil, err
	}

	var damaged []states.Notice
	for _, file := range files {
		if file.Verdict == backup.OK || foreign(file.Verdict) {
			continue
		}
		damaged = append(damaged, damageNotice(file))
	}
	for _, place := range places {
		damaged = append(damaged, states.Notice{
			Warning: states.WarnPlaceUnreadable,
			Detail:  place.Error(),
		})
	}
	d.protector.setDamaged(damaged)

	return files, err
}

// damageNotice warns of a file that has a backup's name and is none.
func damageNotice(file judged) states.Notice {
	detail := fmt.Sprintf("%s: %s", file.Path, file.Verdict)
	if !file.LastVerified.IsZero() {
		detail += ", last in order at " +
			file.LastVerified.UTC().Format(time.RFC3339)
	}

	return states.Notice{Warning: states.WarnDamaged, Detail: detail}
}
