package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/looprecovery/looprecovery/internal/durable"
)

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

	// InTheWay are the files that had a name of the backup's but are no
	// valid backup of the generation. They were left as they are.
	InTheWay []string

	// Status is the outcome.
	Status Status

	// Promise says what a power cut could have left while the file was
	// Written. The place keeps its promise for all files.
	Promise durable.Promise

	// Err is the cause of a failure.
	Err error
}

// Report says how publishing went, in the order of the places.
type Report struct {
	Places []PlaceReport
}

// Publish makes sure that every place holds a backup of a generation. A valid
// one that is there already is the backup; anything else under its name is left
// and the backup published beside it under a free name. All places get the same
// bytes. The error is that of the data directory; failures in other places are
// in the report.
//
// A backup whose pair a person accepted gets a proven one beside it as soon as
// the pair is proven, or was proven to another place. One that is to be
// accepted is refused with a *ConflictError where a valid backup contradicts
// it: only a proof may stand against what is there.
func (s *Store) Publish(ctx context.Context, content *Content, keys Keys) (
	Report, error) {

	s.writing.Lock()
	defer s.writing.Unlock()

	if content.PairAccepted {
		if err := s.Conflict(ctx, content, keys); err != nil {
			return Report{}, err
		}
	}
	data, content, err := s.bytesOf(ctx, content, keys)
	if err != nil {
		return Report{}, err
	}

	return s.publish(ctx, content, data, keys)
}

// Import is Publish for a backup that comes from elsewhere, whose contents are
// given as well. The bytes are published as they are if they are of our own
// format; from a file of the older one a new file is made. Another valid backup
// that contradicts it, in any place and either format, makes it be refused with
// a *ConflictError: see Content.ContradictedBy.
func (s *Store) Import(ctx context.Context, data []byte, content *Content,
	keys Keys) (Report, error) {

	s.writing.Lock()
	defer s.writing.Unlock()

	// A place that cannot be read fails when it is written to.
	if err := s.Conflict(ctx, content, keys); err != nil {
		return Report{}, err
	}

	if FormatOf(data) != Native {
		var err error
		data, content, err = s.bytesOf(ctx, content, keys)
		if err != nil {
			return Report{}, err
		}
	}

	return s.publish(ctx, content, data, keys)
}

// ConflictError says that a valid backup claims a token with other contents.
type ConflictError struct {
	// Path is the backup that is there.
	Path string
}

// Error implements error.
func (e *ConflictError) Error() string {
	return e.Path + " claims the same token with different contents"
}

// publish publishes a file in all places.
func (s *Store) publish(ctx context.Context, content *Content, data []byte,
	keys Keys) (Report, error) {

	var report Report
	for _, place := range s.places {
		result := PlaceReport{Place: place}
		result.Err = s.publishIn(ctx, &result, content, data, keys)
		if result.Err != nil {
			result.Status = Failed
		}
		report.Places = append(report.Places, result)
	}

	return report, report.Places[0].Err
}

// bytesOf returns the file of a generation, that of a place which has it or a
// new one, and its contents.
func (s *Store) bytesOf(ctx context.Context, content *Content, keys Keys) (
	[]byte, *Content, error) {

	data, found, err := s.Find(ctx, content, keys)
	switch {
	case data != nil:
		return data, found, nil

	case ctx.Err() != nil:
		return nil, nil, ctx.Err()

	case err != nil:
		log.Warnf("Looking for a backup: %v", err)
	}
	data, err = Seal(content, keys, rand.Reader)

	return data, content, err
}

// generationIn judges the files in a place, of either format, whose name claims
// the token of a generation.
func (s *Store) generationIn(ctx context.Context, place string,
	content *Content, keys Keys) ([]Entry, error) {

	return s.listPlace(ctx, place, keys, func(name parsedName) bool {
		return name.tokenID == content.TokenID
	})
}

// protects reports whether a file is a backup of a generation. One of the older
// format is not enough: it does not tell the index of the client key. Nor is
// one whose pair a person accepted, once the pair is proven.
func (e *Entry) protects(content *Content) bool {
	return e.Verdict == OK && e.Format == Native &&
		e.Content.SameGeneration(content) &&
		(content.PairAccepted || !e.Content.PairAccepted)
}

// publishIn makes sure that one place holds a backup of a generation.
func (s *Store) publishIn(ctx context.Context, report *PlaceReport,
	content *Content, data []byte, keys Keys) error {

	entries, err := s.generationIn(ctx, report.Place, content, keys)
	if err != nil && !errors.Is(err, ErrCrowded) {
		return err
	}
	for _, entry := range entries {
		if entry.protects(content) {
			return s.adopt(report, entry.Path)
		}
	}

	for number := range maxCopies + 1 {
		name := fileName(content.TokenID, content.TokenCreated, number)
		path := filepath.Join(report.Place, name)
		promise, err := durable.Publish(
			s.files, report.Place, name, data, filePerm,
		)
		switch {
		case err == nil:
			report.Promise = promise
			return s.confirm(report, path, keys)

		case !errors.Is(err, fs.ErrExist):
			return err
		}
		report.InTheWay = append(report.InTheWay, path)
		log.Warnf("%s is in the way of a backup and was left alone",
			path)
	}

	return fmt.Errorf("%s: %d files are in the way of the backup",
		report.Place, len(report.InTheWay))
}

// adopt reports a backup that is there already, after making sure that no power
// cut takes it away: the last process may have been stopped before it did.
func (s *Store) adopt(report *PlaceReport, path string) error {
	report.Path, report.Status = path, AlreadyThere

	return s.settle(path)
}

// confirm reports a new backup, which is called one only after it opened.
func (s *Store) confirm(report *PlaceReport, path string, keys Keys) error {
	report.Path, report.Status = path, Written

	entry, err := s.Judge(path, keys)
	if err != nil {
		return err
	}
	if entry.Verdict != OK {
		return &Error{Verdict: entry.Verdict, Detail: entry.Detail}
	}

	// What a crash left of an earlier call goes, once it is of no use.
	err = durable.Sweep(s.files, report.Place, leftovers)
	if err != nil {
		log.Debugf("Sweeping %s: %v", report.Place, err)
	}

	return nil
}

// leftovers are the unfinished backups. A file of the older format is kept:
// only the holder of its key could tell.
var leftovers = durable.Leftovers{
	Owns: func(final string) bool {
		_, ok := parseName(final)
		return ok
	},
	Keep: func(data []byte) bool {
		_, err := ReadHeader(data)
		var verdict *Error
		damaged := errors.As(err, &verdict) &&
			(verdict.Verdict == Corrupt ||
				verdict.Verdict == NotABackup)

		return !damaged || FormatOf(data) == Legacy
	},
	Limit: MaxFileSize,
}
