package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/looprecovery/looprecovery/internal/durable"
)

// receivedName is the directory, below the data directory, for files that
// clients sent.
const receivedName = "received"

// Receive stores the bytes of a file that a client sent, before anything else
// is done with them, and returns where. Equal bytes are stored once.
func (s *Store) Receive(data []byte) (string, error) {
	if len(data) > MaxFileSize {
		return "", refuse(NotABackup, "%d bytes", len(data))
	}

	s.writing.Lock()
	defer s.writing.Unlock()

	if err := durable.EnsureDir(s.files, s.received()); err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	name := hex.EncodeToString(sum[:]) + ".lrb"
	path := filepath.Join(s.received(), name)
	_, err := durable.Publish(s.files, s.received(), name, data, filePerm)
	if errors.Is(err, fs.ErrExist) {
		err = s.sameBytes(path, sum)
	}
	if err != nil {
		return "", err
	}
	_ = durable.Sweep(s.files, s.received(), durable.Leftovers{
		Owns:  func(string) bool { return true },
		Keep:  leftovers.Keep,
		Limit: MaxFileSize,
	})

	return path, nil
}

// sameBytes makes sure that a file that was received before is durable, and
// still what it was then.
func (s *Store) sameBytes(path string, sum [32]byte) error {
	data, err := durable.ReadFile(s.files, path, MaxFileSize)
	if err != nil {
		return err
	}
	if sha256.Sum256(data) != sum {
		return fmt.Errorf("%s was damaged since it was received: move "+
			"it away and send the file again", path)
	}

	return errors.Join(
		s.files.SyncDir(path), s.files.SyncDir(filepath.Dir(path)),
	)
}

// received is the directory for files that clients sent.
func (s *Store) received() string {
	return filepath.Join(s.places[0], receivedName)
}
