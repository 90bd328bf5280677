package backup

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightninglabs/aperture/l402"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/staticaddr"
	"github.com/stretchr/testify/require"
	"gopkg.in/macaroon.v2"
)

// testKeys returns the keys of a seed.
func testKeys(t testing.TB, seed byte) Keys {
	t.Helper()

	keys, err := newKeys([32]byte{seed}, [32]byte{seed, 1})
	require.NoError(t, err)

	return keys
}

// testContent returns the contents of a backup.
func testContent(t testing.TB, seed byte) *Content {
	t.Helper()

	created := int64(1_700_000_000_123_456_789) + int64(seed)
	preimage := bytes.Repeat([]byte{seed}, 32)
	hash := sha256.Sum256(preimage)
	var id bytes.Buffer
	require.NoError(t, l402.EncodeIdentifier(&id, &l402.Identifier{
		Version: l402.LatestVersion, PaymentHash: hash,
		TokenID: l402.TokenID{seed},
	}))
	mac, err := macaroon.New(
		[]byte("root"), id.Bytes(), "loop", macaroon.LatestVersion,
	)
	require.NoError(t, err)
	raw, err := mac.MarshalBinary()
	require.NoError(t, err)

	token := binary.BigEndian.AppendUint32(nil, uint32(len(raw)))
	token = append(token, raw...)
	token = append(token, hash[:]...)
	token = append(token, preimage...)
	token = append(token, make([]byte, 16)...)
	token = binary.BigEndian.AppendUint64(token, uint64(created))

	_, server := btcec.PrivKeyFromBytes([]byte{1, seed})
	_, client := btcec.PrivKeyFromBytes([]byte{2, seed})

	return &Content{
		Network:      "regtest",
		TokenID:      [32]byte{seed},
		TokenCreated: time.Unix(0, created),
		Token:        token,
		Address: staticaddr.Descriptor{
			ServerKey: server,
			ClientKey: client,
			ClientLocator: keychain.KeyLocator{
				Family: 42060, Index: uint32(seed),
			},
			Expiry:              14_400,
			ReceiveFamily:       staticaddr.ReceiveFamily,
			ChangeFamily:        staticaddr.ChangeFamily,
			FirstHeight:         850_000,
			FamiliesFirstHeight: 850_001,
		},
	}
}

// seal returns a file.
func seal(t testing.TB, content *Content, keys Keys) []byte {
	t.Helper()

	data, err := Seal(content, keys, rand.Reader)
	require.NoError(t, err)

	return data
}

// verdictOf returns the verdict on a file.
func verdictOf(t *testing.T, data []byte, keys Keys) Verdict {
	t.Helper()

	_, err := Open(data, keys)
	if err == nil {
		return OK
	}
	var verdict *Error
	if !errors.As(err, &verdict) {
		t.Fatalf("not a verdict: %v", err)
	}

	return verdict.Verdict
}

// TestRoundTrip checks that what goes in comes out, and that nothing secret can
// be read without the key.
func TestRoundTrip(t *testing.T) {
	content, keys := testContent(t, 3), testKeys(t, 1)
	data := seal(t, content, keys)

	opened, err := Open(data, keys)
	require.NoError(t, err)
	require.Equal(t, content.Token, opened.Token)
	require.True(t, content.TokenCreated.Equal(opened.TokenCreated))
	require.True(t, content.Address.ClientKey.IsEqual(
		opened.Address.ClientKey,
	))
	opened.Address.ClientKey = content.Address.ClientKey
	require.True(t, content.Address.ServerKey.IsEqual(
		opened.Address.ServerKey,
	))
	opened.Address.ServerKey = content.Address.ServerKey
	require.Equal(t, content.Address, opened.Address)

	require.NotContains(t, string(data), string(content.Token[:40]))
	require.NotContains(t, string(data), string(
		content.Address.ClientKey.SerializeCompressed(),
	))
	require.NotEqual(t, data, seal(t, content, keys), "nonce reused")
}

// TestVerdicts checks that each thing that can be wrong with a file is told
// apart: they call for different steps of the user.
func TestVerdicts(t *testing.T) {
	keys := testKeys(t, 1)
	data := seal(t, testContent(t, 3), keys)

	require.Equal(t, OK, verdictOf(t, data, keys))
	require.Equal(t, OtherSeed, verdictOf(t, data, testKeys(t, 2)))
	require.Equal(t, NotABackup, verdictOf(t, nil, keys))
	require.Equal(t, NotABackup, verdictOf(t, []byte("looprcv2xx"), keys))

	newer := bytes.Clone(data)
	newer[len(magic)+1] = acceptedVersion + 1
	sum := sha256.Sum256(newer[:len(newer)-checksumSize])
	copy(newer[len(newer)-checksumSize:], sum[:])
	require.Equal(t, NewerVersion, verdictOf(t, newer, keys))
}

// TestDamage checks every change of a single byte and every truncation: none is
// taken for a good file, and none that keeps the magic for anything but damage.
func TestDamage(t *testing.T) {
	keys := testKeys(t, 1)
	data := seal(t, testContent(t, 3), keys)

	for i := range data {
		want := Corrupt
		if i < len(magic) {
			want = NotABackup
		}
		damaged := bytes.Clone(data)
		for delta := 1; delta < 256; delta++ {
			damaged[i] = data[i] ^ byte(delta)
			if got := verdictOf(t, damaged, keys); got != want {
				t.Fatalf("byte %d ^ %#x: %s", i, delta, got)
			}
		}
		require.Equal(t, want, verdictOf(t, data[:i], keys))
	}
}

// TestForgery checks that a file whose checksum was made to fit after a change
// does not open either: header and payload are authenticated.
func TestForgery(t *testing.T) {
	keys := testKeys(t, 1)
	data := seal(t, testContent(t, 3), keys)

	for i := range len(data) - checksumSize {
		forged := bytes.Clone(data)
		forged[i] ^= 1
		sum := sha256.Sum256(forged[:len(forged)-checksumSize])
		copy(forged[len(forged)-checksumSize:], sum[:])
		require.NotEqual(
			t, OK, verdictOf(t, forged, keys), "byte %d", i,
		)
	}
}

// TestSealRefuses checks that no backup is written that could not be restored.
func TestSealRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Content){
		"network": func(c *Content) { c.Network = "othernet" },
		"expiry":  func(c *Content) { c.Address.Expiry = 0 },
		"token":   func(c *Content) { c.Token = c.Token[1:] },
		"id":      func(c *Content) { c.TokenID[0]++ },
		"time": func(c *Content) {
			c.TokenCreated = c.TokenCreated.Add(1)
		},
		"index": func(c *Content) { c.IndexUnknown = true },
		"unpaid": func(c *Content) {
			at := len(c.Token) - 24 - 32
			copy(c.Token[at:at+32], make([]byte, 32))
		},
	} {
		content := testContent(t, 3)
		spoil(content)
		_, err := Seal(content, testKeys(t, 1), rand.Reader)
		require.Error(t, err, name)
	}
}

// TestName checks that a name is understood only in its canonical form.
func TestName(t *testing.T) {
	content := testContent(t, 3)
	name := FileName(content.TokenID, content.TokenCreated)
	id, created, ok := ParseName(name)
	require.True(t, ok)
	require.Equal(t, content.TokenID, id)
	require.True(t, content.TokenCreated.Equal(created))

	_, _, ok = ParseName(fileName(id, created, 99))
	require.True(t, ok)
	for _, bad := range []string{
		"", "l402.token", name + "x", "x" + name, name[:len(name)-4],
		fileName(id, created, 100),
		"loop_recovery_9999999999999999999" + name[33:],
		"loop_recovery_-00000000000000000" + name[33:],
	} {
		_, _, ok := ParseName(bad)
		require.False(t, ok, bad)
	}
}

// newStore returns a store of n places.
func newStore(t *testing.T, n int) (*Store, []string) {
	t.Helper()

	var places []string
	for range n {
		places = append(places, t.TempDir())
	}

	return NewStore(durable.OS(), "regtest", places), places
}

// TestPublish checks that a backup is written once to every place, and that the
// file that is there is never written again.
func TestPublish(t *testing.T) {
	store, places := newStore(t, 2)
	content, keys := testContent(t, 3), testKeys(t, 1)

	report, err := store.Publish(t.Context(), content, keys)
	require.NoError(t, err)
	require.Len(t, report.Places, 2)
	for i, place := range report.Places {
		require.NoError(t, place.Err)
		require.Equal(t, Written, place.Status)
		require.Equal(t, filepath.Join(places[i], FileName(
			content.TokenID, content.TokenCreated,
		)), place.Path)
	}
	before, err := os.ReadFile(report.Places[0].Path)
	require.NoError(t, err)

	report, err = store.Publish(t.Context(), content, keys)
	require.NoError(t, err)
	require.Equal(t, AlreadyThere, report.Places[0].Status)
	after, err := os.ReadFile(report.Places[0].Path)
	require.NoError(t, err)
	require.Equal(t, before, after)

	entries, err := store.List(t.Context(), keys)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	require.Equal(t, OK, entries[0].Verdict)
	require.NotNil(t, entries[0].Content)
}

// TestPublishBesides checks that a backup of another seed under the same name
// is left, and ours still becomes durable.
func TestPublishBesides(t *testing.T) {
	store, _ := newStore(t, 1)
	content := testContent(t, 3)
	mine, other := testKeys(t, 1), testKeys(t, 2)

	first, err := store.Publish(t.Context(), content, other)
	require.NoError(t, err)
	foreign, err := os.ReadFile(first.Places[0].Path)
	require.NoError(t, err)

	second, err := store.Publish(t.Context(), content, mine)
	require.NoError(t, err)
	require.NotEqual(t, first.Places[0].Path, second.Places[0].Path)
	kept, err := os.ReadFile(first.Places[0].Path)
	require.NoError(t, err)
	require.Equal(t, foreign, kept)

	entries, err := store.List(t.Context(), mine)
	require.NoError(t, err)
	verdicts := map[Verdict]int{}
	for _, entry := range entries {
		verdicts[entry.Verdict]++
	}
	require.Equal(t, map[Verdict]int{OK: 1, OtherSeed: 1}, verdicts)
}

// TestPublishMissingPlace checks that a place that is gone is reported and does
// not stop the others.
func TestPublishMissingPlace(t *testing.T) {
	dir := t.TempDir()
	gone := filepath.Join(dir, "gone")
	store := NewStore(durable.OS(), "regtest", []string{dir, gone})
	content, keys := testContent(t, 3), testKeys(t, 1)

	report, err := store.Publish(t.Context(), content, keys)
	require.NoError(t, err)
	require.Equal(t, Written, report.Places[0].Status)
	require.Equal(t, Failed, report.Places[1].Status)
	require.Error(t, report.Places[1].Err)

	entries, err := store.List(t.Context(), keys)
	var place *PlaceError
	require.ErrorAs(t, err, &place)
	require.Equal(t, gone, place.Place)
	require.Len(t, entries, 1)
}

// TestJudgeName checks that a file whose name lies is named so, and that a
// received file, whose name is ours, is not.
func TestJudgeName(t *testing.T) {
	store, places := newStore(t, 1)
	keys := testKeys(t, 1)
	data := seal(t, testContent(t, 3), keys)

	other := testContent(t, 4)
	path := filepath.Join(
		places[0], FileName(other.TokenID, other.TokenCreated),
	)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	entry, err := store.Judge(path, keys)
	require.NoError(t, err)
	require.Equal(t, NameMismatch, entry.Verdict)
	require.Nil(t, entry.Content)

	received, err := store.Receive(data)
	require.NoError(t, err)
	again, err := store.Receive(data)
	require.NoError(t, err)
	require.Equal(t, received, again)
	entry, err = store.Judge(received, keys)
	require.NoError(t, err)
	require.Equal(t, OK, entry.Verdict)

	_, err = store.Receive(make([]byte, MaxFileSize+1))
	require.Error(t, err)
}

// TestOtherNetwork checks that a file of another network is not a candidate.
func TestOtherNetwork(t *testing.T) {
	_, places := newStore(t, 1)
	keys := testKeys(t, 1)
	store := NewStore(durable.OS(), "mainnet", places)
	content := testContent(t, 3)
	path := filepath.Join(
		places[0], FileName(content.TokenID, content.TokenCreated),
	)
	require.NoError(t, os.WriteFile(path, seal(t, content, keys), 0o600))

	entry, err := store.Judge(path, keys)
	require.NoError(t, err)
	require.Equal(t, OtherNetwork, entry.Verdict)
	require.Equal(t, "regtest", entry.Network)
}
