package backup

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/looprecovery/looprecovery/internal/durable"
)

// The methods below are the parts of Publish and Import, for a caller who has a
// store of its own for each place because places fail, and hang, one by one.

// Find returns the bytes of a valid backup of a generation and its contents;
// nil if there is none. It is that of the first place that has one, but one
// whose pair was proven comes before one whose pair a person accepted. An error
// is that of a place that could not be read.
func (s *Store) Find(ctx context.Context, content *Content, keys Keys) (
	data []byte, found *Content, failed error) {

	for _, place := range s.places {
		entries, err := s.generationIn(ctx, place, content, keys)
		if err != nil {
			failed = &PlaceError{Place: place, Err: err}
		}
		for _, entry := range entries {
			if !entry.protects(content) || found != nil &&
				!entry.Content.outranks(found) {

				continue
			}
			read, err := s.again(entry)
			if err == nil {
				data, found = read, entry.Content
			}
		}
	}

	return data, found, failed
}

// again reads a file that was judged, which must still be what it was.
func (s *Store) again(entry Entry) ([]byte, error) {
	data, err := durable.ReadFile(s.files, entry.Path, MaxFileSize)
	if err == nil && sha256.Sum256(data) != entry.SHA256 {
		err = fmt.Errorf("%s changed since it was judged", entry.Path)
	}

	return data, err
}

// PublishBytes is Publish with the bytes of the file given.
func (s *Store) PublishBytes(ctx context.Context, data []byte,
	content *Content, keys Keys) (Report, error) {

	s.writing.Lock()
	defer s.writing.Unlock()

	return s.publish(ctx, content, data, keys)
}

// Conflict returns a *ConflictError if a valid backup in one of the places
// contradicts a generation. What cannot be read contradicts nothing.
func (s *Store) Conflict(ctx context.Context, content *Content,
	keys Keys) error {

	for _, place := range s.places {
		entries, _ := s.generationIn(ctx, place, content, keys)
		for _, entry := range entries {
			if entry.Verdict == OK &&
				content.ContradictedBy(entry.Content) {

				return &ConflictError{Path: entry.Path}
			}
		}
	}

	return nil
}
