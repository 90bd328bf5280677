package powercut

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/backup/backuptest"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/internal/testkit/crash"
)

const (
	// dataDir is loopd's directory, secondDir another backup place.
	dataDir   = "/data"
	secondDir = "/second"

	// tokenPath is where upstream keeps the token.
	tokenPath = dataDir + "/l402.token"

	// network is the network of all files.
	network = "regtest"
)

// The seeds: ours, and that of somebody else.
const (
	mySeed    = 1
	otherSeed = 2
)

// scenario is something that is done on a disk, and may be cut off.
type scenario struct {
	name string

	// before are the files that were there long before.
	before map[string][]byte

	// run does it. It is called again after a crash.
	run func(disk *crash.FS) error

	// done returns an error if what run promises when it returns nil does
	// not hold.
	done func(files map[string][]byte) error
}

// start returns the disk on which a scenario begins.
func (s *scenario) start(can crash.Capability) (*crash.FS, error) {
	disk := crash.New(can, dataDir, secondDir)
	for name, data := range s.before {
		if err := disk.Put(name, data); err != nil {
			return nil, err
		}
	}

	return disk, nil
}

// check returns an error if an invariant does not hold on a disk, under what is
// promised there.
func (s *scenario) check(files map[string][]byte,
	promise durable.Promise) error {

	for name, data := range s.before {
		if parses(data) {
			if !bytes.Equal(files[name], data) {
				return fmt.Errorf("I1: %s was lost or changed",
					name)
			}

			continue
		}
		if !kept(files, data) {
			return fmt.Errorf("I1: what was in %s is gone", name)
		}
	}

	for name, data := range files {
		if before, ok := s.before[name]; ok &&
			bytes.Equal(before, data) {

			continue
		}
		err := complete(name, data)
		if promise == durable.MaybeTorn && !parses(data) {
			// Nobody takes it for anything.
			continue
		}
		if err != nil {
			return fmt.Errorf("I2: %s: %w", name, err)
		}
	}

	return nil
}

// kept reports whether a file with these contents is there under any name.
func kept(files map[string][]byte, data []byte) bool {
	for _, other := range files {
		if bytes.Equal(other, data) {
			return true
		}
	}

	return false
}

// parses reports whether data are a token or a backup of anybody.
func parses(data []byte) bool {
	if known, ok := parsed.Load(string(data)); ok {
		return known.(bool)
	}

	_, err := generation.ParseToken(data)
	if err != nil {
		_, err = backup.ReadHeader(data)
	}
	parsed.Store(string(data), err == nil)

	return err == nil
}

// parsed remembers what parses returned.
var parsed sync.Map

// complete returns an error if a file has a final name but is not complete, or
// does not open with our seed.
func complete(name string, data []byte) error {
	_, _, isBackup := backup.ParseName(path.Base(name))
	switch {
	case name == tokenPath:
		_, err := generation.ParseToken(data)
		return err

	case isBackup:
		_, err := open(data)
		return err

	case strings.HasSuffix(name, ".lrb") && !strings.Contains(
		path.Base(name), "-"):

		sum := sha256.Sum256(data)
		want := hex.EncodeToString(sum[:])
		if !strings.HasPrefix(path.Base(name), want+".") {
			return errors.New("not what was received")
		}
	}

	return nil
}

// opened remembers what open returned, by the hash of a file: the same one is
// found after very many cuts.
var opened sync.Map

// openResult is what open returned.
type openResult struct {
	tokenID [32]byte
	err     error
}

// myKeys returns the keys of our seed.
var myKeys = sync.OnceValue(func() backup.Keys {
	return backuptest.Keys(mySeed)
})

// open opens a backup with our seed and returns the id of its token.
func open(data []byte) ([32]byte, error) {
	sum := sha256.Sum256(data)
	if known, ok := opened.Load(sum); ok {
		result := known.(openResult)
		return result.tokenID, result.err
	}

	var result openResult
	content, err := backup.Open(data, myKeys())
	if err == nil {
		result.tokenID = content.TokenID
	}
	result.err = err
	opened.Store(sum, result)

	return result.tokenID, result.err
}

// seal returns a backup of a generation.
func seal(seed, of byte) ([]byte, error) {
	return backup.Seal(
		backuptest.Content(network, of), backuptest.Keys(seed), zeros{},
	)
}

// zeros is a source of nonces for files that are never written.
type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(into []byte) (int, error) {
	clear(into)
	return len(into), nil
}

// backupName returns the path of a generation's backup.
func backupName(dir string, of byte) string {
	content := backuptest.Content(network, of)

	return path.Join(dir, backup.FileName(
		content.TokenID, content.TokenCreated,
	))
}

// scenarios returns everything that writes a file of ours.
func scenarios() ([]scenario, error) {
	mine, err := seal(mySeed, 1)
	if err != nil {
		return nil, err
	}
	foreign, err := seal(otherSeed, 1)
	if err != nil {
		return nil, err
	}
	older, err := seal(mySeed, 2)
	if err != nil {
		return nil, err
	}
	name, second := backupName(dataDir, 1), backupName(secondDir, 1)
	half := mine[:len(mine)/2]
	token, other := backuptest.Token(1), backuptest.Token(2)

	return []scenario{
		publishing("backup", nil),
		publishing("backup, one of another generation there",
			map[string][]byte{backupName(dataDir, 2): older}),
		publishing("backup, another seed's in the way",
			map[string][]byte{name: foreign}),
		publishing("backup, a damaged one in the way",
			map[string][]byte{name: half}),
		publishing("backup, there already",
			map[string][]byte{name: mine}),
		publishing("backup, only in the second place",
			map[string][]byte{second: mine}),
		receiving(mine),
		placing("token", nil, token),
		placing("token, an unreadable one in place",
			map[string][]byte{tokenPath: nil}, token),
		placing("token, half of one in place",
			map[string][]byte{tokenPath: token[:50]}, token),
		placing("token, another one in place",
			map[string][]byte{tokenPath: other}, other),
	}, nil
}

// publishing is a scenario that writes a backup into two places.
func publishing(name string, before map[string][]byte) scenario {
	content := backuptest.Content(network, 1)
	keys := backuptest.Keys(mySeed)
	places := []string{dataDir, secondDir}

	return scenario{
		name:   name,
		before: before,
		run: func(disk *crash.FS) error {
			store := backup.NewStore(disk, network, places)
			report, err := store.Publish(
				context.Background(), content, keys,
			)
			for _, place := range report.Places {
				err = errors.Join(err, place.Err)
			}

			return err
		},
		done: func(files map[string][]byte) error {
			for _, place := range places {
				if !protected(files, place, content.TokenID) {
					return fmt.Errorf("%s is not protected",
						place)
				}
			}

			return nil
		},
	}
}

// protected reports whether there is a backup of a token in a place.
func protected(files map[string][]byte, place string, want [32]byte) bool {
	for name, data := range files {
		id, _, ok := backup.ParseName(path.Base(name))
		if !ok || path.Dir(name) != place || id != want {
			continue
		}
		id, err := open(data)
		if err == nil && id == want {
			return true
		}
	}

	return false
}

// receiving is a scenario that stores what a client sent.
func receiving(data []byte) scenario {
	return scenario{
		name: "received file",
		run: func(disk *crash.FS) error {
			store := backup.NewStore(
				disk, network, []string{dataDir},
			)
			_, err := store.Receive(data)

			return err
		},
		done: func(files map[string][]byte) error {
			if !kept(files, data) {
				return errors.New("acknowledged, and lost")
			}

			return nil
		},
	}
}

// placing is a scenario that places the token as a restore does: what does not
// parse is moved aside first.
func placing(name string, before map[string][]byte, token []byte) scenario {
	return scenario{
		name:   name,
		before: before,
		run: func(disk *crash.FS) error {
			return place(disk, token)
		},
		done: func(files map[string][]byte) error {
			if !bytes.Equal(files[tokenPath], token) {
				return errors.New("the token is not in place")
			}

			return nil
		},
	}
}

// place puts a token in place.
func place(disk durable.FS, token []byte) error {
	files := generation.NewFiles(disk, dataDir)
	probe, err := files.Probe()
	if err != nil {
		return err
	}
	switch probe.Status {
	case generation.TokenPaid:
		return nil

	case generation.TokenUnreadable:
		if _, err := files.SetAside(); err != nil {
			return err
		}
	}

	err = files.Place(token)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the token changed meanwhile: %w", err)
	}

	return err
}
