package backup

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/looprecovery/looprecovery/internal/durable"
)

const (
	// receivedName is the directory, below the data directory, for files
	// that clients sent.
	receivedName = "received"

	// filePerm are the permissions of a backup: it never changes.
	filePerm = 0o400

	// maxEntries bounds the number of files that are judged in one place.
	maxEntries = 10_000
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

// Status says how a place came to hold a backup.
type Status string

const (
	// Written: the file was written now.
	Written Status = "written"

	// AlreadyThere: a valid backup of the same generation was there.
	AlreadyThere Status = "already there"

	// Failed: the place holds no backup.
	Failed Status = "failed"
)

// PlaceReport says how publishing went in one place.
type PlaceReport struct {
	// Place is the directory, Path the file in it.
	Place, Path string

	// Status is the outcome.
	Status Status

	// Err is the cause of a failure.
	Err error
}

// Report says how publishing went, in the order of the places.
type Report struct {
	Places []PlaceReport
}

// List judges every file in every place whose name claims to be a backup. An
// error consists of *PlaceError only, for the places that could not be read;
// the entries of the others are returned beside it.
func (s *Store) List(ctx context.Context, keys Keys) ([]Entry, error) {
	var (
		entries []Entry
		failed  []error
	)
	for _, place := range s.places {
		found, err := s.listPlace(ctx, place, keys)
		entries = append(entries, found...)
		if err != nil {
			failed = append(failed, &PlaceError{
				Place: place, Err: err,
			})
		}
	}

	return entries, errors.Join(failed...)
}

// listPlace judges the files in one place.
func (s *Store) listPlace(ctx context.Context, place string, keys Keys) (
	[]Entry, error) {

	files, err := s.files.ReadDir(place)
	if err != nil {
		return nil, err
	}

	var entries []Entry
	for _, file := range files {
		if _, _, ok := ParseName(file.Name()); !ok {
			continue
		}
		if len(entries) == maxEntries {
			return entries, fmt.Errorf("more than %d backups",
				maxEntries)
		}
		if err := ctx.Err(); err != nil {
			return entries, err
		}

		entry, err := s.Judge(filepath.Join(place, file.Name()), keys)
		switch {
		// It was taken away meanwhile.
		case errors.Is(err, fs.ErrNotExist):
			continue

		case err != nil:
			return entries, err
		}
		entries = append(entries, entry)
	}

	return entries, nil
}

// Judge reads and judges one file. What is wrong with its contents is a
// verdict; an error means that it could not be read.
func (s *Store) Judge(path string, keys Keys) (Entry, error) {
	entry := Entry{Path: path, Place: filepath.Dir(path)}

	info, err := s.files.Stat(path)
	if err != nil {
		return entry, err
	}
	entry.Size, entry.ModTime = info.Size(), info.ModTime()
	if !info.Mode().IsRegular() || info.Size() > MaxFileSize {
		entry.Verdict = NotABackup
		entry.Detail = fmt.Sprintf("%v, %d bytes", info.Mode(),
			info.Size())

		return entry, nil
	}
	data, err := durable.ReadFile(s.files, path, MaxFileSize)
	if err != nil {
		return entry, err
	}
	entry.SHA256 = sha256.Sum256(data)

	err = s.judge(&entry, data, keys)
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
	header, err := ReadHeader(data)
	if err != nil {
		return err
	}
	entry.Network = header.Network
	entry.TokenID = header.TokenID
	entry.TokenCreated = header.TokenCreated
	if header.Network != s.network {
		return refuse(OtherNetwork, "it is of %s, not of %s",
			header.Network, s.network)
	}

	entry.Content, err = Open(data, keys)
	if err != nil {
		return err
	}

	// A received file has a name of our own making.
	if entry.Place == s.received() {
		return nil
	}
	tokenID, created, ok := ParseName(filepath.Base(entry.Path))
	if !ok || tokenID != header.TokenID ||
		!created.Equal(header.TokenCreated) {

		return refuse(NameMismatch, "it should be called %s",
			FileName(header.TokenID, header.TokenCreated))
	}

	return nil
}

// Publish makes sure that every place holds a backup of a generation. A valid
// one that is there already is the backup; anything else under its name is left
// and the backup published beside it under a free name. The error is that of
// the data directory; failures in other places are in the report.
func (s *Store) Publish(ctx context.Context, content *Content, keys Keys) (
	Report, error) {

	s.writing.Lock()
	defer s.writing.Unlock()

	var report Report
	for _, place := range s.places {
		result := s.publishPlace(ctx, place, content, keys)
		if result.Err != nil {
			result.Status = Failed
		}
		report.Places = append(report.Places, result)
	}

	return report, report.Places[0].Err
}

// publishPlace makes sure that one place holds a backup of a generation.
func (s *Store) publishPlace(ctx context.Context, place string,
	content *Content, keys Keys) PlaceReport {

	report := PlaceReport{Place: place}

	entries, err := s.listPlace(ctx, place, keys)
	if err != nil {
		report.Err = err
		return report
	}
	for _, entry := range entries {
		if entry.Verdict == OK && entry.TokenID == content.TokenID {
			report.Path, report.Status = entry.Path, AlreadyThere
			return report
		}
	}

	data, err := Seal(content, keys, rand.Reader)
	if err != nil {
		report.Err = err
		return report
	}
	for number := range maxCopies + 1 {
		name := fileName(content.TokenID, content.TokenCreated, number)
		report.Path = filepath.Join(place, name)
		report.Err = durable.Publish(
			s.files, place, name, data, filePerm,
		)
		if !errors.Is(report.Err, fs.ErrExist) {
			break
		}
		log.Warnf("%s is in the way of a backup and was left alone",
			report.Path)
	}
	if report.Err != nil {
		return report
	}

	// "Protected" is said only of a file that opens.
	entry, err := s.Judge(report.Path, keys)
	if err == nil && entry.Verdict != OK {
		err = &Error{Verdict: entry.Verdict, Detail: entry.Detail}
	}
	report.Status, report.Err = Written, err

	return report
}

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
	err := durable.Publish(s.files, s.received(), name, data, filePerm)
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}

	return filepath.Join(s.received(), name), err
}

// received is the directory for files that clients sent.
func (s *Store) received() string {
	return filepath.Join(s.places[0], receivedName)
}
