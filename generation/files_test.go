package generation

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lightninglabs/aperture/l402"
	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/stretchr/testify/require"
	"gopkg.in/macaroon.v2"
)

// created is the creation time of the tokens in the tests.
const created = int64(1_700_000_000_123_456_789)

// makeToken returns the bytes of a token file.
func makeToken(t testing.TB, seed byte, paid bool) []byte {
	t.Helper()

	preimage := bytes.Repeat([]byte{seed}, preimageSize)
	hash := sha256.Sum256(preimage)

	var id bytes.Buffer
	require.NoError(t, l402.EncodeIdentifier(&id, &l402.Identifier{
		Version:     l402.LatestVersion,
		PaymentHash: hash,
		TokenID:     l402.TokenID{seed},
	}))
	mac, err := macaroon.New(
		[]byte("root"), id.Bytes(), "loop", macaroon.LatestVersion,
	)
	require.NoError(t, err)
	raw, err := mac.MarshalBinary()
	require.NoError(t, err)

	if !paid {
		preimage = make([]byte, preimageSize)
	}
	data := binary.BigEndian.AppendUint32(nil, uint32(len(raw)))
	data = append(data, raw...)
	data = append(data, hash[:]...)
	data = append(data, preimage...)
	data = binary.BigEndian.AppendUint64(data, 7_000)
	data = binary.BigEndian.AppendUint64(data, 1)

	return binary.BigEndian.AppendUint64(data, uint64(created))
}

// TestParseToken checks that what upstream writes is understood, and that
// upstream understands the tokens of these tests.
func TestParseToken(t *testing.T) {
	for _, paid := range []bool{true, false} {
		data := makeToken(t, 5, paid)
		token, err := ParseToken(data)
		require.NoError(t, err)
		require.Equal(t, &Token{
			ID:      [32]byte{5},
			Created: time.Unix(0, created),
			Paid:    paid,
		}, token)
	}

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(
		filepath.Join(dir, tokenName), makeToken(t, 5, true), 0o600,
	))
	store, err := l402.NewFileStore(dir)
	require.NoError(t, err)
	current, err := store.CurrentToken()
	require.NoError(t, err)
	require.EqualValues(t, created, current.TimeCreated.UnixNano())
}

// TestProbe checks that each thing that can be in place is told apart: taking a
// damaged or pending token for none would let a new one be bought.
func TestProbe(t *testing.T) {
	paid, pending := makeToken(t, 1, true), makeToken(t, 2, false)

	for _, test := range []struct {
		files map[string][]byte
		want  TokenStatus
	}{
		{nil, TokenAbsent},
		{map[string][]byte{tokenName: paid}, TokenPaid},
		{map[string][]byte{tokenName: pending}, TokenPending},
		{map[string][]byte{pendingName: pending}, TokenPending},
		{map[string][]byte{pendingName: nil}, TokenPending},
		{map[string][]byte{
			tokenName: paid, pendingName: pending,
		}, TokenPaid},
		{map[string][]byte{tokenName: nil}, TokenUnreadable},
		{map[string][]byte{tokenName: paid[:20]}, TokenUnreadable},
		{map[string][]byte{
			tokenName: make([]byte, MaxTokenSize+1),
		}, TokenUnreadable},
	} {
		dir := t.TempDir()
		for name, data := range test.files {
			require.NoError(t, os.WriteFile(
				filepath.Join(dir, name), data, 0o600,
			))
		}
		probe, err := NewFiles(durable.OS(), dir).Probe()
		require.NoError(t, err)
		require.Equal(t, test.want, probe.Status)
	}
}

// TestPlaceAndSetAside checks that a token is never replaced or moved, and that
// what does not parse is kept.
func TestPlaceAndSetAside(t *testing.T) {
	dir := t.TempDir()
	files := NewFiles(durable.OS(), dir)
	first := makeToken(t, 1, true)

	require.NoError(t, files.Place(first))
	require.ErrorIs(t, files.Place(makeToken(t, 2, true)), fs.ErrExist)
	_, err := files.SetAside()
	require.ErrorIs(t, err, ErrParses)
	data, err := files.Read()
	require.NoError(t, err)
	require.Equal(t, first, data)
	info, err := os.Stat(filepath.Join(dir, tokenName))
	require.NoError(t, err)
	require.EqualValues(t, tokenPerm, info.Mode().Perm())

	path := filepath.Join(dir, tokenName)
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.WriteFile(path, []byte("half"), 0o644))
	aside, err := files.SetAside()
	require.NoError(t, err)
	kept, err := os.ReadFile(aside)
	require.NoError(t, err)
	require.Equal(t, "half", string(kept))
	info, err = os.Stat(aside)
	require.NoError(t, err)
	require.EqualValues(t, tokenPerm, info.Mode().Perm())
	require.NoError(t, files.Place(first))
}

// TestSweep checks that a second copy of the token, which a crash left behind,
// does not stay, and that the only one does.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	files := NewFiles(durable.OS(), dir)
	token := makeToken(t, 1, true)
	temp := filepath.Join(dir, ".looprecovery-0011223344556677-"+tokenName)
	require.NoError(t, os.WriteFile(temp, token, 0o600))

	require.NoError(t, files.Sweep())
	require.FileExists(t, temp)

	path := filepath.Join(dir, tokenName)
	require.NoError(t, os.WriteFile(path, token, 0o600))
	require.NoError(t, files.Sweep())
	require.NoFileExists(t, temp)
	require.FileExists(t, path)
}
