package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// The layout of a file; docs/backup-format.md specifies it byte by byte. All
// numbers are big endian.
const (
	// magic begins every file.
	magic = "looprcv1"

	// provenVersion is the version of a file whose pair of token and
	// address was proven, acceptedVersion that of one whose pair a person
	// accepted: a program that does not know the difference must not take
	// the one for the other.
	provenVersion   = 1
	acceptedVersion = 2

	versionSize  = 2
	networkSize  = 8
	idSize       = 32
	createdSize  = 8
	keyCheckSize = 16
	nonceSize    = chacha20poly1305.NonceSizeX
	lengthSize   = 4
	checksumSize = sha256.Size

	// headerSize is the size of all that stands before the ciphertext. It
	// is authenticated together with that.
	headerSize = len(magic) + versionSize + networkSize + idSize +
		createdSize + keyCheckSize + nonceSize + lengthSize

	// MaxFileSize is the largest file that is read, in bytes.
	MaxFileSize = 1 << 20
)

// Format is one of the two formats of a file. It is the first bytes of one.
type Format string

const (
	// Native is our own format.
	Native Format = magic

	// Legacy is the older format, which is read wherever Native is.
	Legacy Format = legacyMagic
)

// FormatOf returns the format that a file claims to have, or nothing.
func FormatOf(data []byte) Format {
	for _, format := range []Format{Native, Legacy} {
		if bytes.HasPrefix(data, []byte(format)) {
			return format
		}
	}

	return ""
}

// networks are the names a header can hold.
var networks = []string{
	"mainnet", "testnet", "testnet4", "signet", "simnet", "regtest",
}

// Error is a verdict on a file other than OK.
type Error struct {
	// Verdict is never OK.
	Verdict Verdict

	// Detail says more. It holds nothing secret.
	Detail string
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s", e.Verdict, e.Detail)
}

// refuse returns an *Error.
func refuse(verdict Verdict, format string, args ...any) error {
	return &Error{Verdict: verdict, Detail: fmt.Sprintf(format, args...)}
}

// Header is what a file of our own format says to anybody.
type Header struct {
	// Version is the version of the format.
	Version uint16

	// Network is the network as loopd spells it.
	Network string

	// TokenID is the id of the token in the file.
	TokenID [32]byte

	// TokenCreated is the token's creation time.
	TokenCreated time.Time

	// KeyCheck is the same in all files of a seed.
	KeyCheck [keyCheckSize]byte

	// Size is the size of the ciphertext in bytes, its tag included.
	Size uint32

	// nonce is the nonce of the encryption.
	nonce [nonceSize]byte
}

// encode returns the header's bytes.
func (h *Header) encode() []byte {
	var network [networkSize]byte
	copy(network[:], h.Network)

	data := append([]byte(magic), 0, 0)
	binary.BigEndian.PutUint16(data[len(magic):], h.Version)
	data = append(data, network[:]...)
	data = append(data, h.TokenID[:]...)
	data = binary.BigEndian.AppendUint64(
		data, uint64(h.TokenCreated.UnixNano()),
	)
	data = append(data, h.KeyCheck[:]...)
	data = append(data, h.nonce[:]...)

	return binary.BigEndian.AppendUint32(data, h.Size)
}

// ReadHeader checks the integrity of a file of our own format, for which no key
// is needed, and returns its header. The older format has none. Every error is
// an *Error.
func ReadHeader(data []byte) (*Header, error) {
	if len(data) < len(magic) || string(data[:len(magic)]) != magic {
		return nil, refuse(NotABackup, "it does not begin with %q",
			magic)
	}
	if len(data) < headerSize+checksumSize || len(data) > MaxFileSize {
		return nil, refuse(Corrupt, "%d bytes", len(data))
	}
	body := data[:len(data)-checksumSize]
	sum := sha256.Sum256(body)
	if !bytes.Equal(sum[:], data[len(body):]) {
		return nil, refuse(Corrupt, "the checksum does not match")
	}

	rest := body[len(magic):]
	version := binary.BigEndian.Uint16(rest)
	switch {
	case version == 0:
		return nil, refuse(Corrupt, "format version 0")

	case version > acceptedVersion:
		return nil, refuse(NewerVersion, "format version %d", version)
	}
	rest = rest[versionSize:]

	header := &Header{
		Version: version,
		Network: string(bytes.TrimRight(rest[:networkSize], "\x00")),
	}
	if !slices.Contains(networks, header.Network) {
		return nil, refuse(Corrupt, "unknown network")
	}
	rest = rest[networkSize:]
	rest = rest[copy(header.TokenID[:], rest):]
	header.TokenCreated = time.Unix(
		0, int64(binary.BigEndian.Uint64(rest)),
	)
	if header.TokenCreated.UnixNano() < 0 {
		return nil, refuse(Corrupt, "created before 1970")
	}
	rest = rest[createdSize:]
	rest = rest[copy(header.KeyCheck[:], rest):]
	rest = rest[copy(header.nonce[:], rest):]
	header.Size = binary.BigEndian.Uint32(rest)
	if int64(header.Size) != int64(len(body)-headerSize) {
		return nil, refuse(Corrupt, "%d bytes of ciphertext, not %d",
			len(body)-headerSize, header.Size)
	}

	return header, nil
}

// Seal returns the file of a generation. The nonce is read from random, which
// must be a cryptographic source.
func Seal(content *Content, keys Keys, random io.Reader) ([]byte, error) {
	if err := content.validate(); err != nil {
		return nil, err
	}
	if content.IndexUnknown {
		return nil, errors.New("the index of the client key is not " +
			"known")
	}

	return sealPayload(content, encodePayload(content), keys, random)
}

// sealPayload encrypts a payload under the header of contents.
func sealPayload(content *Content, payload []byte, keys Keys,
	random io.Reader) ([]byte, error) {

	header := &Header{
		Version:      content.version(),
		Network:      content.Network,
		TokenID:      content.TokenID,
		TokenCreated: content.TokenCreated,
		KeyCheck:     keys.check,
		Size: uint32(len(payload) +
			chacha20poly1305.Overhead),
	}
	if _, err := io.ReadFull(random, header.nonce[:]); err != nil {
		return nil, err
	}
	cipher, err := chacha20poly1305.NewX(keys.Native[:])
	if err != nil {
		return nil, err
	}

	open := header.encode()
	data := cipher.Seal(
		slices.Clone(open), header.nonce[:], payload, open,
	)
	sum := sha256.Sum256(data)
	data = append(data, sum[:]...)

	return data, checkSize(data)
}

// checkSize refuses a file that could not be read.
func checkSize(data []byte) error {
	if len(data) > MaxFileSize {
		return fmt.Errorf("a backup of %d bytes is over the limit of "+
			"%d", len(data), MaxFileSize)
	}

	return nil
}

// Open decrypts a file of either format and checks that its contents are
// complete and agree with its header. Every error is an *Error.
func Open(data []byte, keys Keys) (*Content, error) {
	if FormatOf(data) == Legacy {
		return openLegacy(data, keys)
	}

	header, err := ReadHeader(data)
	if err != nil {
		return nil, err
	}
	if header.KeyCheck != keys.check {
		return nil, refuse(OtherSeed, "the key check does not match")
	}

	cipher, err := chacha20poly1305.NewX(keys.Native[:])
	if err != nil {
		return nil, refuse(Corrupt, "%v", err)
	}
	payload, err := cipher.Open(
		nil, header.nonce[:],
		data[headerSize:len(data)-checksumSize], data[:headerSize],
	)
	if err != nil {
		return nil, refuse(Corrupt, "it does not authenticate")
	}

	return decodePayload(payload, header)
}
