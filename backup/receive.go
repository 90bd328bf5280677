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

const (
	// receivedName is the directory, below the data directory, for files
	// that clients sent.
	receivedName = "received"

	// maxReceived and maxReceivedBytes bound what is kept there. What
	// parses is never deleted, so that more is refused.
	maxReceived      = 256
	maxReceivedBytes = 16 << 20
)

// ErrReceivedFull is wrapped by Receive's error for a file that is not stored
// because so many were.
var ErrReceivedFull = errors.New("too many files were received before")

// Receive stores the bytes of a file that a client sent, before anything else
// is done with them, and returns where. Equal bytes are stored once. A file
// that was damaged since it was received is left alone, and stored again beside
// it.
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
	for number := range maxCopies + 1 {
		name := hex.EncodeToString(sum[:]) + suffix(number) + ".lrb"
		path := filepath.Join(s.received(), name)
		same, err := s.isReceived(path, sum)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return path, s.store(name, data)

		case err != nil:
			return "", err

		case same:
			return path, s.settle(path)
		}
		log.Warnf("%s was damaged since it was received, and left "+
			"alone", path)
	}

	return "", fmt.Errorf("%w: %d damaged copies of this one",
		ErrReceivedFull, maxCopies)
}

// store writes a received file, if there is room for it.
func (s *Store) store(name string, data []byte) error {
	if err := s.room(int64(len(data))); err != nil {
		return err
	}
	_, err := durable.Publish(s.files, s.received(), name, data, filePerm)
	if err != nil {
		return err
	}

	// What a crash left of an earlier call goes, once it is of no use.
	err = durable.Sweep(s.files, s.received(), durable.Leftovers{
		Owns:  func(string) bool { return true },
		Keep:  leftovers.Keep,
		Limit: MaxFileSize,
	})
	if err != nil {
		log.Debugf("Sweeping %s: %v", s.received(), err)
	}

	return nil
}

// room returns an error if there is none for a file of a size.
func (s *Store) room(size int64) error {
	entries, err := s.files.ReadDir(s.received(), maxReceived)
	if err != nil && !errors.Is(err, ErrCrowded) {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
	}
	if len(entries) == maxReceived || size > maxReceivedBytes {
		return fmt.Errorf("%w: nothing was stored; move away what is "+
			"not needed in %s", ErrReceivedFull, s.received())
	}

	return nil
}

// isReceived reports whether a file is, still, what was received.
func (s *Store) isReceived(path string, sum [32]byte) (bool, error) {
	data, err := durable.ReadFile(s.files, path, MaxFileSize)
	var kind *durable.KindError
	switch {
	case errors.As(err, &kind), errors.Is(err, durable.ErrTooLarge):
		return false, nil

	case err != nil:
		return false, err
	}

	return sha256.Sum256(data) == sum, nil
}

// settle makes sure that no power cut takes a file away that is there already:
// the last process may have been stopped before it did.
func (s *Store) settle(path string) error {
	return errors.Join(
		s.files.SyncDir(path), s.files.SyncDir(filepath.Dir(path)),
	)
}

// received is the directory for files that clients sent.
func (s *Store) received() string {
	return filepath.Join(s.places[0], receivedName)
}
