package powercut

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/looprecovery/looprecovery/backup/backuptest"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/internal/durable"
)

const (
	// imageSize is the size of a file system that is tried, in bytes.
	imageSize = 8 << 20

	// commandTimeout bounds each command that handles one.
	commandTimeout = time.Minute
)

// ErrNoImages means that this machine or user cannot mount images.
var ErrNoImages = errors.New("needs root, loop devices, mkfs.ext4 and e2fsck")

// sequence is one way to place a token on a real file system.
type sequence struct {
	name string
	run  func(files durable.FS, dir string, token []byte) error

	// safe says whether the token must be there once it is done.
	safe bool
}

// sequences are ours, and two that are known to lose the file.
var sequences = []sequence{
	{"ours", func(files durable.FS, dir string, token []byte) error {
		return generation.NewFiles(files, dir).Place(token)
	}, true},
	{"sync, rename", func(files durable.FS, dir string,
		token []byte) error {

		return renameUnsafely(files, dir, token, false)
	}, false},
	{"sync, sync of the directory, rename", func(files durable.FS,
		dir string, token []byte) error {

		return renameUnsafely(files, dir, token, true)
	}, false},
}

// Ext4 confirms a sample on real file systems: the image of a mounted ext4 is
// copied after every change, as a power cut would leave it; the copy is checked
// by e2fsck, mounted and looked at. It returns the number of images. The error
// is ErrNoImages where that cannot be done.
func Ext4() (int, error) {
	dir, err := os.MkdirTemp("", "powercut")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()

	if err := probeImages(dir); err != nil {
		return 0, fmt.Errorf("%w (%w)", ErrNoImages, err)
	}

	images := 0
	for i, sequence := range sequences {
		at := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(at, dirMode); err != nil {
			return images, err
		}
		count, err := tryExt4(at, sequence)
		images += count
		if err != nil {
			return images, fmt.Errorf("%s: %w", sequence.name, err)
		}
	}

	return images, nil
}

// dirMode are the permissions of the directories of a trial.
const dirMode = 0o700

// probeImages finds out whether images can be mounted here.
func probeImages(dir string) error {
	if os.Geteuid() != 0 {
		return errors.New("not root")
	}
	image := filepath.Join(dir, "probe")
	if err := makeImage(image); err != nil {
		return err
	}

	return withMounted(image, filepath.Join(dir, "mnt"),
		func(string) error { return nil })
}

// tryExt4 runs a sequence on a new file system and looks at what is left of it
// after a cut at every point.
func tryExt4(dir string, sequence sequence) (int, error) {
	image := filepath.Join(dir, "image")
	if err := makeImage(image); err != nil {
		return 0, err
	}
	token := backuptest.Token(1)

	var copies []string
	snapshot := func() error {
		name := filepath.Join(dir, fmt.Sprintf("cut%d", len(copies)))
		copies = append(copies, name)

		return copyFile(image, name)
	}
	err := withMounted(image, filepath.Join(dir, "mnt"),
		func(root string) error {
			files := &snapshots{FS: durable.OS(), take: snapshot}

			return sequence.run(files, root, token)
		})
	if err != nil {
		return 0, err
	}

	for i, cut := range copies {
		last := i == len(copies)-1
		err := lookExt4(dir, cut, token, sequence, last)
		if err != nil {
			return len(copies), fmt.Errorf("cut %d: %w", i, err)
		}
	}

	return len(copies), nil
}

// lookExt4 repairs and mounts a copy and compares it with what must be there.
func lookExt4(dir, image string, token []byte, sequence sequence,
	last bool) error {

	if err := command("e2fsck", "-p", image); err != nil {
		return err
	}

	return withMounted(image, filepath.Join(dir, "mnt"),
		func(root string) error {
			found, err := os.ReadFile(
				filepath.Join(root, "l402.token"),
			)
			there := err == nil
			switch {
			case err != nil && !errors.Is(err, fs.ErrNotExist):
				return err

			case there && !bytes.Equal(found, token):
				return errors.New("I2: the token is torn")

			case last && there != sequence.safe:
				return fmt.Errorf("done, and the token is "+
					"there: %v", there)
			}

			return nil
		})
}

// makeImage makes a file with an empty ext4 in it.
func makeImage(name string) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(file.Truncate(imageSize), file.Close())
	if err != nil {
		return err
	}

	return command("mkfs.ext4", "-q", name)
}

// withMounted mounts an image while a function runs. The journal is not
// committed unless somebody asks for it.
func withMounted(image, at string, use func(root string) error) error {
	err := os.Mkdir(at, dirMode)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	err = command("mount", "-o", "loop,commit=300", image, at)
	if err != nil {
		return err
	}

	return errors.Join(use(at), command("umount", at))
}

// copyFile copies a file.
func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}

	return os.WriteFile(to, data, 0o600)
}

// command runs a command.
func command(name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()

	output, err := exec.CommandContext(ctx, name, args...).CombinedOutput()

	// e2fsck ends with 1 if it repaired what it was asked to repair.
	var exit *exec.ExitError
	if name == "e2fsck" && errors.As(err, &exit) && exit.ExitCode() == 1 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, output)
	}

	return nil
}

// renameUnsafely places a token with a rename that nothing makes durable.
func renameUnsafely(files durable.FS, dir string, token []byte,
	syncFirst bool) error {

	temp := filepath.Join(dir, "temp")
	file, err := files.CreateNew(temp, 0o600)
	if err != nil {
		return err
	}
	if err := finish(file, token, true); err != nil {
		return err
	}
	if syncFirst {
		if err := files.SyncDir(dir); err != nil {
			return err
		}
	}
	renamer, ok := files.(durable.Renamer)
	if !ok {
		return errors.ErrUnsupported
	}

	return renamer.RenameNoReplace(temp, filepath.Join(dir, "l402.token"))
}

// snapshots takes a copy of the disk after every change.
type snapshots struct {
	durable.FS

	take func() error
}

// after takes a copy after a change.
func (s *snapshots) after(err error) error {
	return errors.Join(err, s.take())
}

// CreateNew implements durable.FS.
func (s *snapshots) CreateNew(path string, perm fs.FileMode) (durable.File,
	error) {

	file, err := s.FS.CreateNew(path, perm)
	if err := s.after(err); err != nil {
		return nil, err
	}

	return &snapshotFile{File: file, disk: s}, nil
}

// Link implements durable.FS.
func (s *snapshots) Link(existing, path string) error {
	return s.after(s.FS.Link(existing, path))
}

// RenameNoReplace implements durable.Renamer.
func (s *snapshots) RenameNoReplace(from, to string) error {
	renamer, ok := s.FS.(durable.Renamer)
	if !ok {
		return errors.ErrUnsupported
	}

	return s.after(renamer.RenameNoReplace(from, to))
}

// Remove implements durable.FS.
func (s *snapshots) Remove(path string) error {
	return s.after(s.FS.Remove(path))
}

// SyncDir implements durable.FS.
func (s *snapshots) SyncDir(path string) error {
	return s.after(s.FS.SyncDir(path))
}

// snapshotFile is a file of snapshots.
type snapshotFile struct {
	durable.File

	disk *snapshots
}

// Write implements durable.File.
func (f *snapshotFile) Write(data []byte) (int, error) {
	n, err := f.File.Write(data)

	return n, f.disk.after(err)
}

// Sync implements durable.File.
func (f *snapshotFile) Sync() error {
	return f.disk.after(f.File.Sync())
}
