package powercut

import (
	"errors"

	"github.com/looprecovery/looprecovery/backup/backuptest"
	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/internal/testkit/crash"
)

// tempPath is a temporary name of an unsafe sequence.
const tempPath = dataDir + "/temp"

// controls returns the sequences that must be found unsafe. The first two lose
// a file that was reported as written, as measured on ext4; the third is how
// upstream writes its token; the last destroys a good file while it writes.
func controls() ([]scenario, error) {
	old, err := seal(mySeed, 2)
	if err != nil {
		return nil, err
	}
	token := backuptest.Token(1)

	unsafe := func(name string, run func(*crash.FS) error) scenario {
		control := placing(name, nil, token)
		control.run = run

		return control
	}
	overwrite := publishing("write in place", map[string][]byte{
		backupName(dataDir, 2): old,
	})
	overwrite.run = func(disk *crash.FS) error {
		file, err := disk.Truncate(backupName(dataDir, 2))
		if err != nil {
			return err
		}

		return finish(file, old, true)
	}

	return []scenario{
		unsafe("sync, rename", func(disk *crash.FS) error {
			return errors.Join(
				create(disk, token, true),
				disk.Rename(tempPath, tokenPath),
			)
		}),
		unsafe("sync, sync of the directory, rename",
			func(disk *crash.FS) error {
				return errors.Join(
					create(disk, token, true),
					disk.SyncDir(dataDir),
					disk.Rename(tempPath, tokenPath),
				)
			}),
		unsafe("rename, sync of the directory",
			func(disk *crash.FS) error {
				return errors.Join(
					create(disk, token, false),
					disk.Rename(tempPath, tokenPath),
					disk.SyncDir(dataDir),
				)
			}),
		overwrite,
	}, nil
}

// create writes a file under a temporary name.
func create(disk *crash.FS, data []byte, sync bool) error {
	file, err := disk.CreateNew(tempPath, 0o600)
	if err != nil {
		return err
	}

	return finish(file, data, sync)
}

// finish writes a file that was opened.
func finish(file durable.File, data []byte, sync bool) error {
	_, err := file.Write(data)
	if sync {
		err = errors.Join(err, file.Sync())
	}

	return errors.Join(err, file.Close())
}
