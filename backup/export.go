package backup

import (
	"crypto/rand"
)

// Export returns a backup, which must have the verdict OK, as a file of the
// wanted format: its own bytes if it has that format, else a new file of the
// same contents. To leave the older format, the index of the client key must
// have been found elsewhere. Nothing is written.
func (s *Store) Export(entry Entry, format Format, keys Keys) (name string,
	data []byte, err error) {

	content := entry.Content
	name = FileName(content.TokenID, content.TokenCreated)
	if format == Legacy {
		name = LegacyFileName(content.TokenID, content.TokenCreated)
	}

	switch {
	case entry.Format == format:
		data, err = s.again(entry)

	case format == Legacy:
		data, err = SealLegacy(content, keys, rand.Reader)

	default:
		data, err = Seal(content, keys, rand.Reader)
	}

	return name, data, err
}
