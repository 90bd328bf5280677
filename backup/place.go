package backup

import (
	"context"
	"crypto/sha256"

	"github.com/looprecovery/looprecovery/internal/durable"
)

// The methods below are the parts of Publish and Import, for a caller who has a
// store of its own for each place because places fail, and hang, one by one.

// Find returns the bytes of a valid backup of a generation from the first place
// that has one, and its contents; nil if there is none. An error is that of a
// place that could not be read.
func (s *Store) Find(ctx context.Context, content *Content, keys Keys) (
	[]byte, *Content, error) {

	var failed error
	for _, place := range s.places {
		entries, err := s.generationIn(ctx, place, content, keys)
		if err != nil {
			failed = &PlaceError{Place: place, Err: err}
		}
		for _, entry := range entries {
			if !entry.protects(content) {
				continue
			}
			data, err := durable.ReadFile(
				s.files, entry.Path, MaxFileSize,
			)
			if err == nil && sha256.Sum256(data) == entry.SHA256 {
				return data, entry.Content, nil
			}
		}
	}

	return nil, nil, failed
}

// PublishBytes is Publish with the bytes of the file given.
func (s *Store) PublishBytes(ctx context.Context, data []byte,
	content *Content, keys Keys) (Report, error) {

	s.writing.Lock()
	defer s.writing.Unlock()

	return s.publish(ctx, content, data, keys)
}

// Conflict returns a *ConflictError if a valid backup in one of the places
// claims the token of a generation with different contents. A place that cannot
// be read is none.
func (s *Store) Conflict(ctx context.Context, content *Content,
	keys Keys) error {

	for _, place := range s.places {
		entries, _ := s.generationIn(ctx, place, content, keys)
		for _, entry := range entries {
			if entry.Verdict == OK && !entry.protects(content) {
				return &ConflictError{Path: entry.Path}
			}
		}
	}

	return nil
}
