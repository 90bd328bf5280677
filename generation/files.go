package generation

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"bytes"

	"github.com/lightninglabs/aperture/l402"
	"github.com/looprecovery/looprecovery/internal/durable"
	"gopkg.in/macaroon.v2"
)

const (
	paidName    = "l402.token"
	pendingName = "l402.token.pending"
	setAsideDir = "set-aside"
	maxToken    = 64 * 1024
	fixedLength = 4 + 32 + 32 + 8 + 8 + 8
)

// ErrToken is wrapped by every error of ParseToken.
var ErrToken = errors.New("not an L402 token")

// ParseToken parses the bytes of a token file.
func ParseToken(data []byte) (*Token, error) {
	if len(data) < fixedLength || len(data) > maxToken {
		return nil, fmt.Errorf("%w: %d bytes", ErrToken, len(data))
	}
	macLen := binary.BigEndian.Uint32(data)
	if int64(macLen) != int64(len(data)-fixedLength) {
		return nil, fmt.Errorf("%w: length mismatch", ErrToken)
	}
	rest := data[4:]
	var mac macaroon.Macaroon
	if err := mac.UnmarshalBinary(rest[:macLen]); err != nil {
		return nil, fmt.Errorf("%w: macaroon", ErrToken)
	}
	id, err := l402.DecodeIdentifier(bytes.NewReader(mac.Id()))
	if err != nil {
		return nil, fmt.Errorf("%w: identifier", ErrToken)
	}
	rest = rest[macLen:]
	hash, preimage := rest[:32], rest[32:64]
	created := int64(binary.BigEndian.Uint64(rest[80:]))
	paid := !bytes.Equal(preimage, make([]byte, 32))
	sum := sha256.Sum256(preimage)
	if !bytes.Equal(id.PaymentHash[:], hash) || paid && !bytes.Equal(sum[:], hash) {
		return nil, fmt.Errorf("%w: payment hash", ErrToken)
	}
	return &Token{ID: id.TokenID, Created: time.Unix(0, created), Paid: paid}, nil
}

// Files is the token file in a data directory.
type Files struct {
	fs  durable.FS
	dir string
}

// NewFiles returns the token file of a directory.
func NewFiles(fsys durable.FS, dir string) *Files { return &Files{fsys, dir} }

// Read returns the bytes of the token file.
func (f *Files) Read() ([]byte, error) {
	return durable.ReadFile(f.fs, filepath.Join(f.dir, paidName), maxToken)
}

// Probe says what is in place.
func (f *Files) Probe() (TokenProbe, error) {
	data, err := f.Read()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f.probePending()
	case errors.Is(err, durable.ErrTooLarge):
		return TokenProbe{Status: TokenUnreadable}, nil
	case err != nil:
		return TokenProbe{}, err
	}
	probe := TokenProbe{SHA256: sha256.Sum256(data), Status: TokenUnreadable}
	if token, err := ParseToken(data); err == nil {
		probe.Token = *token
		probe.Status = TokenPaid
		if !token.Paid {
			probe.Status = TokenPending
		}
	}
	return probe, nil
}

func (f *Files) probePending() (TokenProbe, error) {
	data, err := durable.ReadFile(f.fs, filepath.Join(f.dir, pendingName), maxToken)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return TokenProbe{}, nil
	case err != nil:
		return TokenProbe{}, err
	}
	probe := TokenProbe{Status: TokenPending, SHA256: sha256.Sum256(data)}
	if token, err := ParseToken(data); err == nil {
		probe.Token = *token
	}
	return probe, nil
}

// Place publishes the token file.
func (f *Files) Place(token []byte) error {
	return durable.Publish(f.fs, f.dir, paidName, token, 0o600)
}

// SetAside moves a token file that does not parse.
func (f *Files) SetAside() (string, error) {
	probe, err := f.Probe()
	if err != nil {
		return "", err
	}
	if probe.Status != TokenUnreadable {
		return "", errors.New("the token file parses; it was not moved")
	}
	dir := filepath.Join(f.dir, setAsideDir)
	if err := f.fs.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	target := filepath.Join(dir, "unreadable-"+hex.EncodeToString(probe.SHA256[:8])+
		fmt.Sprintf("-%d", time.Now().UnixNano()))
	src := filepath.Join(f.dir, paidName)
	if err := f.fs.Link(src, target); err != nil {
		return "", err
	}
	if err := f.fs.SyncDir(dir); err != nil {
		return "", err
	}
	if err := f.fs.Remove(src); err != nil {
		return "", err
	}
	return target, f.fs.SyncDir(f.dir)
}
