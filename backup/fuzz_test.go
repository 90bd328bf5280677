package backup

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzOpen looks for files that make the parser panic or, with a key that did
// not make them, open.
func FuzzOpen(f *testing.F) {
	content, keys := testContent(f, 3), testKeys(f, 1)
	native := seal(f, content, keys)
	f.Add(native)
	f.Add(native[:len(native)-1])
	f.Add(sealOlder(f, content, keys))
	f.Add([]byte(magic))
	f.Add([]byte(legacyMagic))
	f.Add(bytes.Repeat([]byte{0xff}, headerSize+checksumSize))

	stranger := testKeys(f, 9)
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := Open(data, stranger)
		var verdict *Error
		if !errors.As(err, &verdict) {
			t.Fatalf("opened, or no verdict: %v", err)
		}

		// A checksum that fits must not help.
		if len(data) < headerSize+checksumSize {
			return
		}
		body := bytes.Clone(data[:len(data)-checksumSize])
		sum := sha256.Sum256(body)
		_, err = Open(append(body, sum[:]...), stranger)
		if !errors.As(err, &verdict) {
			t.Fatalf("opened, or no verdict: %v", err)
		}
	})
}

// FuzzPayload looks for payloads that make the parser panic, or that are
// accepted though they are not what would be written: then two files could mean
// the same to us and something else to another reader.
func FuzzPayload(f *testing.F) {
	content := testContent(f, 3)
	good := encodePayload(content)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, payloadSize))

	header := &Header{
		Version:      provenVersion,
		Network:      content.Network,
		TokenID:      content.TokenID,
		TokenCreated: content.TokenCreated,
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		opened, err := decodePayload(data, header)
		if err != nil {
			var verdict *Error
			require.ErrorAs(t, err, &verdict)
			require.Equal(t, Incomplete, verdict.Verdict)

			return
		}
		require.Equal(t, data, encodePayload(opened))
	})
}

// FuzzLegacyPayload does the same for the older format, where order and space
// are free: what is accepted must survive being written again.
func FuzzLegacyPayload(f *testing.F) {
	content, keys := testContent(f, 3), testKeys(f, 1)
	f.Add([]byte(olderJSON(f, content, keys)))
	f.Add([]byte("{}"))
	f.Add([]byte("null"))

	f.Fuzz(func(t *testing.T, data []byte) {
		opened, err := decodeLegacy(data)
		if err != nil {
			var verdict *Error
			require.ErrorAs(t, err, &verdict)

			return
		}
		again, err := SealLegacy(opened, keys, rand.Reader)
		require.NoError(t, err)
		reopened, err := Open(again, keys)
		require.NoError(t, err)
		require.True(t, opened.SameGeneration(reopened))
	})
}

// TestPayloadDamage checks every change of a single bit and every truncation
// behind the encryption: none may panic, and none may be accepted that is not
// a valid payload of its own, byte for byte.
func TestPayloadDamage(t *testing.T) {
	content := testContent(t, 3)
	good := encodePayload(content)
	header := &Header{
		Version:      provenVersion,
		Network:      content.Network,
		TokenID:      content.TokenID,
		TokenCreated: content.TokenCreated,
	}

	for i := range good {
		_, err := decodePayload(good[:i], header)
		require.Error(t, err)

		damaged := bytes.Clone(good)
		for bit := range 8 {
			damaged[i] = good[i] ^ 1<<bit
			opened, err := decodePayload(damaged, header)
			if err == nil {
				require.Equal(t, damaged, encodePayload(opened))
			}
		}
	}
}

// TestAllocation checks that no file makes a reader allocate more than 1 MiB
// beside itself, whatever sizes it claims.
func TestAllocation(t *testing.T) {
	const maxAllocated = 1 << 20

	keys := testKeys(t, 1)
	for _, data := range [][]byte{
		seal(t, testContent(t, 3), keys),
		sealOlder(t, testContent(t, 3), keys),
	} {
		for i := range data {
			for _, value := range []byte{0, 0x7f, 0x80, 0xff} {
				damaged := bytes.Clone(data)
				damaged[i] = value

				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				_, _ = Open(damaged, keys)
				runtime.ReadMemStats(&after)
				require.Less(t, after.TotalAlloc-
					before.TotalAlloc, uint64(maxAllocated))
			}
		}
	}
}
