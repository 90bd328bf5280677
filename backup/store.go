package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/looprecovery/looprecovery/internal/durable"
)

const (
	// filePerm are the permissions of a backup: it never changes.
	filePerm = 0o400
)

// Store is the set of places where backups are kept. Its methods can be called
// from several goroutines; writers wait for each other.
type Store struct {
	files   durable.FS
	network string
	places  []string

	// writing serialises Publish and Receive.
	writing sync.Mutex
}

// NewStore returns the store of a network. The first place is the data
// directory.
func NewStore(files durable.FS, network string, places []string) *Store {
	return &Store{files: files, network: network, places: places}
}

// List judges every file in every place whose name claims to be a backup. An
// error consists of *PlaceError only, for the places that could not be read, or
// not completely (ErrCrowded); the entries of everything else are returned
// beside it. A file that cannot be read is an entry with that verdict.
func (s *Store) List(ctx context.Context, keys Keys) ([]Entry, error) {
	var (
		entries []Entry
		failed  []error
	)
	for _, place := range s.places {
		found, err := s.listPlace(
			ctx, place, keys, func(parsedName) bool { return true },
		)
		entries = append(entries, found...)
		if err != nil {
			failed = append(failed, &PlaceError{
				Place: place, Err: err,
			})
		}
	}

	return entries, errors.Join(failed...)
}

// Judge reads and judges one file. What is wrong with it, its kind included, is
// a verdict; an error means that it could not be read. It never waits for the
// other end of a named pipe.
func (s *Store) Judge(path string, keys Keys) (Entry, error) {
	entry := Entry{Path: path, Place: filepath.Dir(path)}

	data, err := s.read(&entry)
	var kind *durable.KindError
	switch {
	case errors.As(err, &kind):
		entry.Verdict, entry.Detail = NotABackup, kind.Kind()
		return entry, nil

	case errors.Is(err, durable.ErrTooLarge):
		entry.Verdict = NotABackup
		entry.Detail = fmt.Sprintf("%d bytes", entry.Size)

		return entry, nil

	case err != nil:
		return entry, err
	}
	// A received file has a name of our own making.
	named := entry.Place != s.received()

	return s.judgeData(entry, data, keys, named)
}

// read reads an entry's file and describes it.
func (s *Store) read(entry *Entry) ([]byte, error) {
	file, info, err := durable.Open(s.files, entry.Path, MaxFileSize)
	if info != nil {
		entry.Size, entry.ModTime = info.Size(), info.ModTime()
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()

	return durable.ReadAll(file, entry.Path, MaxFileSize)
}

// JudgeBytes judges a file that is not on this machine. Its name must match the
// contents if it claims to be a backup's; any other name says nothing. The
// entry's path is that name. What is wrong with the file is a verdict.
func (s *Store) JudgeBytes(name string, data []byte, keys Keys) (Entry,
	error) {

	entry := Entry{Path: name, Size: int64(len(data))}
	if len(data) > MaxFileSize {
		entry.Verdict = NotABackup
		entry.Detail = fmt.Sprintf("%d bytes", len(data))

		return entry, nil
	}
	_, claims := parseName(filepath.Base(name))

	return s.judgeData(entry, data, keys, claims)
}

// judgeData fills in the verdict on a file's bytes, and on its name if that is
// to be that of its contents.
func (s *Store) judgeData(entry Entry, data []byte, keys Keys, named bool) (
	Entry, error) {

	entry.SHA256 = sha256.Sum256(data)

	err := s.judge(&entry, data, keys)
	if err == nil && named {
		err = entry.checkName()
	}
	var verdict *Error
	switch {
	case errors.As(err, &verdict):
		entry.Verdict, entry.Detail = verdict.Verdict, verdict.Detail
		entry.Content = nil

		return entry, nil

	case err != nil:
		return entry, err
	}
	entry.Verdict = OK

	return entry, nil
}

// judge fills an entry from a file's bytes. A verdict is an *Error.
func (s *Store) judge(entry *Entry, data []byte, keys Keys) error {
	entry.Format = FormatOf(data)
	if entry.Format == Legacy {
		return s.judgeLegacy(entry, data, keys)
	}

	return s.judgeNative(entry, data, keys)
}

// checkName makes sure that the name of a file matches its contents.
func (e *Entry) checkName() error {
	want := FileName(e.TokenID, e.TokenCreated)
	if e.Format == Legacy {
		want = LegacyFileName(e.TokenID, e.TokenCreated)
	}
	name, ok := parseName(filepath.Base(e.Path))
	if !ok || name.format != e.Format || name.tokenID != e.TokenID ||
		!name.created.Equal(e.TokenCreated) {

		return refuse(NameMismatch, "it should be called %s", want)
	}

	return nil
}

// judgeNative fills an entry from a file of our own format.
func (s *Store) judgeNative(entry *Entry, data []byte, keys Keys) error {
	header, err := ReadHeader(data)
	if err != nil {
		return err
	}
	entry.Network = header.Network
	entry.TokenID = header.TokenID
	entry.TokenCreated = header.TokenCreated
	if err := s.checkNetwork(header.Network); err != nil {
		return err
	}
	entry.Content, err = Open(data, keys)

	return err
}

// judgeLegacy fills an entry from a file of the older format.
func (s *Store) judgeLegacy(entry *Entry, data []byte, keys Keys) error {
	content, err := Open(data, keys)
	if err != nil {
		return err
	}
	entry.Network = content.Network
	entry.TokenID = content.TokenID
	entry.TokenCreated = content.TokenCreated
	entry.Content = content

	return s.checkNetwork(content.Network)
}

// checkNetwork refuses another network than the store's.
func (s *Store) checkNetwork(network string) error {
	if network != s.network {
		return refuse(OtherNetwork, "it is of %s, not of %s", network,
			s.network)
	}

	return nil
}
