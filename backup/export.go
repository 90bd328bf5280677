package backup

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"github.com/looprecovery/looprecovery/internal/durable"
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
		data, err = durable.ReadFile(s.files, entry.Path, MaxFileSize)
		if err == nil && sha256.Sum256(data) != entry.SHA256 {
			err = fmt.Errorf("%s changed while it was exported",
				entry.Path)
		}

	case format == Legacy:
		data, err = SealLegacy(content, keys, rand.Reader)

	default:
		data, err = Seal(content, keys, rand.Reader)
	}

	return name, data, err
}
