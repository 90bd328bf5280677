package backup

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"github.com/looprecovery/looprecovery/internal/durable"
)

// Store is the places of backups.
type Store struct {
	fs      durable.FS
	network string
	places  []string
	mu      sync.Mutex
}

// NewStore returns a store; the first place is the data directory.
func NewStore(fsys durable.FS, network string, places []string) *Store {
	return &Store{fs: fsys, network: network, places: places}
}

// PlaceReport says how publishing went in one place.
type PlaceReport struct {
	Place, Path, Status string
	Err                 error
}

// Report says how publishing went.
type Report struct{ Places []PlaceReport }

// List judges all files.
func (s *Store) List(_ context.Context, keys Keys) ([]Entry, error) {
	var entries []Entry
	var errs []error
	for _, place := range s.places {
		files, err := s.fs.ReadDir(place)
		if err != nil {
			errs = append(errs, &PlaceError{place, err})
			continue
		}
		for _, file := range files {
			if !strings.HasPrefix(file.Name(), "loop_recovery_") || !strings.HasSuffix(file.Name(), ".lrb") {
				continue
			}
			entry, err := s.Judge(filepath.Join(place, file.Name()), keys)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				errs = append(errs, &PlaceError{place, err})
				continue
			}
			entries = append(entries, entry)
		}
	}
	return entries, errors.Join(errs...)
}

// Judge judges one file.
func (s *Store) Judge(path string, keys Keys) (Entry, error) {
	entry := Entry{Path: path, Place: filepath.Dir(path)}
	data, err := durable.ReadFile(s.fs, path, MaxFile)
	if errors.Is(err, durable.ErrTooLarge) {
		entry.Verdict = NotABackup
		return entry, nil
	}
	if err != nil {
		return entry, err
	}
	info, err := s.fs.Stat(path)
	if err != nil {
		return entry, err
	}
	entry.SHA256, entry.Size, entry.ModTime = sha256.Sum256(data), info.Size(), info.ModTime()
	header, err := ReadHeader(data)
	if err == nil {
		entry.Network, entry.TokenID, entry.TokenCreated = header.Network, header.TokenID, header.Created
		if header.Network != s.network {
			entry.Verdict = OtherNetwork
			return entry, nil
		}
		entry.Content, err = Open(data, keys)
	}
	var verdict *Error
	switch {
	case errors.As(err, &verdict):
		entry.Verdict, entry.Detail = verdict.Verdict, verdict.Detail
	case err != nil:
		return entry, err
	case filepath.Base(path) != FileName(entry.Content) && filepath.Base(filepath.Dir(path)) != "received":
		entry.Verdict, entry.Content = NameMismatch, nil
	default:
		entry.Verdict = OK
	}
	return entry, nil
}

// Publish writes a backup to every place.
func (s *Store) Publish(_ context.Context, c *Content, keys Keys) (Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var report Report
	data, err := Seal(c, keys, rand.Reader)
	if err != nil {
		return report, err
	}
	for _, place := range s.places {
		path := filepath.Join(place, FileName(c))
		r := PlaceReport{Place: place, Path: path, Status: "written"}
		r.Err = durable.Publish(s.fs, place, FileName(c), data, 0o400)
		if errors.Is(r.Err, fs.ErrExist) {
			entry, err := s.Judge(path, keys)
			if err == nil && entry.Verdict == OK {
				r.Err, r.Status = nil, "already protected"
			}
		}
		report.Places = append(report.Places, r)
	}
	return report, report.Places[0].Err
}

// Receive stores bytes of a client.
func (s *Store) Receive(_ string, data []byte) (string, error) {
	dir := filepath.Join(s.places[0], "received")
	if err := s.fs.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	sum := sha256.Sum256(data)
	name := hex.EncodeToString(sum[:]) + ".lrb"
	err := durable.Publish(s.fs, dir, name, data, 0o400)
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return filepath.Join(dir, name), err
}
