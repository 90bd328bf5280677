package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/nacl/secretbox"
)

// writeVectors makes TestVectors write the test vectors.
var writeVectors = flag.Bool("vectors", false, "write docs/vectors/backup.json")

const (
	// vectorsPath is where the test vectors are.
	vectorsPath = "../docs/vectors/backup.json"

	// minVectors is the number of test vectors that there must be.
	minVectors = 190
)

// vector is one file with its verdict. The keys are those that lnd shares: see
// docs/backup-format.md.
type vector struct {
	Case    string  `json:"case"`
	Name    string  `json:"name"`
	Network string  `json:"daemon_network"`
	Shared  string  `json:"shared"`
	Legacy  string  `json:"legacy_key"`
	File    string  `json:"file"`
	Verdict Verdict `json:"verdict"`
	Fields  *fields `json:"fields,omitempty"`
}

// fields are the contents of a good file.
type fields struct {
	Network             string  `json:"network"`
	TokenID             string  `json:"token_id"`
	Created             string  `json:"created"`
	Token               string  `json:"token"`
	ServerKey           string  `json:"server_key"`
	ClientKey           string  `json:"client_key"`
	ProtocolVersion     uint32  `json:"protocol_version"`
	ClientFamily        uint32  `json:"client_family"`
	ClientIndex         *uint32 `json:"client_index"`
	Expiry              uint32  `json:"expiry"`
	ReceiveFamily       int32   `json:"receive_family"`
	ChangeFamily        int32   `json:"change_family"`
	FirstHeight         int32   `json:"first_height"`
	FamiliesFirstHeight int32   `json:"families_first_height"`
	PairAccepted        bool    `json:"pair_accepted"`
}

// newFields returns the fields of contents.
func newFields(c *Content) *fields {
	a := c.Address
	result := &fields{
		Network:             c.Network,
		TokenID:             hex.EncodeToString(c.TokenID[:]),
		Created:             fmt.Sprint(c.TokenCreated.UnixNano()),
		Token:               hex.EncodeToString(c.Token),
		ServerKey:           hexKey(a.ServerKey.SerializeCompressed()),
		ClientKey:           hexKey(a.ClientKey.SerializeCompressed()),
		ProtocolVersion:     a.ProtocolVersion,
		ClientFamily:        uint32(a.ClientLocator.Family),
		Expiry:              a.Expiry,
		ReceiveFamily:       a.ReceiveFamily,
		ChangeFamily:        a.ChangeFamily,
		FirstHeight:         a.FirstHeight,
		FamiliesFirstHeight: a.FamiliesFirstHeight,
		PairAccepted:        c.PairAccepted,
	}
	if !c.IndexUnknown {
		result.ClientIndex = &a.ClientLocator.Index
	}

	return result
}

// hexKey returns a public key as text.
func hexKey(key []byte) string {
	return hex.EncodeToString(key)
}

// vectorMaker makes test vectors, the same each time.
type vectorMaker struct {
	t       *testing.T
	vectors []vector
	shared  [32]byte
	legacy  [32]byte
	keys    Keys
}

// newVectorMaker returns a maker of vectors that has made none.
func newVectorMaker(t *testing.T) *vectorMaker {
	keys := testKeys(t, 1)

	return &vectorMaker{
		t: t, shared: [32]byte{1}, legacy: keys.Legacy, keys: keys,
	}
}

// unhex is the inverse of hex.EncodeToString.
func unhex(t *testing.T, text string) []byte {
	t.Helper()

	data, err := hex.DecodeString(text)
	require.NoError(t, err)

	return data
}

// nonces is a source of fixed nonces.
func nonces(seed string) *bytes.Reader {
	sum := sha256.Sum256([]byte(seed))

	return bytes.NewReader(sum[:])
}

// add adds a vector of a daemon on regtest.
func (m *vectorMaker) add(verdict Verdict, what, name string, file []byte) {
	m.vectors = append(m.vectors, vector{
		Case: what, Name: name, Network: "regtest",
		Shared:  hex.EncodeToString(m.shared[:]),
		Legacy:  hex.EncodeToString(m.legacy[:]),
		File:    hex.EncodeToString(file),
		Verdict: verdict,
	})
}

// native returns a good file of our own format.
func (m *vectorMaker) native(content *Content) []byte {
	data, err := Seal(content, m.keys, nonces(content.Network))
	require.NoError(m.t, err)

	return data
}

// older returns a good file of the older format.
func (m *vectorMaker) older(content *Content) []byte {
	data, err := SealLegacy(content, m.keys, nonces(content.Network))
	require.NoError(m.t, err)

	return data
}

// resum makes the checksum of a file fit.
func resum(data []byte) []byte {
	sum := sha256.Sum256(data[:len(data)-checksumSize])

	return append(bytes.Clone(data[:len(data)-checksumSize]), sum[:]...)
}

// good adds the files that are in order, for each network and format.
func (m *vectorMaker) good() {
	for i, network := range networks {
		content := testContent(m.t, byte(i+1))
		content.Network = network
		name := FileName(content.TokenID, content.TokenCreated)
		m.add(OK, "good, "+network, name, m.native(content))
		m.vectors[len(m.vectors)-1].Network = network
		m.add(OK, "good, older format, "+network, LegacyFileName(
			content.TokenID, content.TokenCreated,
		), m.older(content))
		m.vectors[len(m.vectors)-1].Network = network
		if network == "regtest" {
			continue
		}
		m.add(OtherNetwork, network+" on regtest", name,
			m.native(content))
		m.add(OtherNetwork, "older, "+network+" on regtest",
			LegacyFileName(content.TokenID, content.TokenCreated),
			m.older(content))
	}
}

// damaged adds damage, truncations and forged checksums.
func (m *vectorMaker) damaged() {
	content := testContent(m.t, 9)
	name := FileName(content.TokenID, content.TokenCreated)
	file := m.native(content)

	m.add(NotABackup, "empty", name, nil)
	m.add(NotABackup, "text", name, []byte("not a backup at all\n"))
	for _, size := range []int{
		1, 7, 8, 10, 58, 102, 133, 134, 200, len(file) - 33,
		len(file) - 1,
	} {
		verdict := Corrupt
		if size < len(magic) {
			verdict = NotABackup
		}
		m.add(verdict, fmt.Sprintf("first %d bytes", size), name,
			file[:size])
	}
	m.add(Corrupt, "a byte more", name, append(bytes.Clone(file), 0))

	// In turn: magic, version, network, id, time, key check, nonce,
	// length, ciphertext, checksum. The second verdict is that on a file
	// with a checksum that fits.
	for _, change := range []struct {
		at     int
		forged Verdict
	}{
		{0, NotABackup}, {8, NewerVersion}, {9, Corrupt},
		{10, Corrupt}, {17, Corrupt}, {20, Corrupt}, {57, Corrupt},
		{50, Corrupt}, {58, OtherSeed}, {73, OtherSeed},
		{74, Corrupt}, {98, Corrupt}, {101, Corrupt}, {102, Corrupt},
		{len(file) - 33, Corrupt}, {len(file) - 1, OK},
	} {
		bad := bytes.Clone(file)
		bad[change.at] ^= 0x81
		verdict := Corrupt
		if change.at < len(magic) {
			verdict = NotABackup
		}
		if change.at == 9 {
			// Version 1 becomes 0 with this one.
			bad[9] = 0
		}
		m.add(verdict, fmt.Sprintf("byte %d changed", change.at), name,
			bad)
		m.add(change.forged, fmt.Sprintf(
			"byte %d changed, checksum forged", change.at),
			name, resum(bad))
	}
	newer := bytes.Clone(file)
	newer[9] = 3
	m.add(NewerVersion, "version 3", name, resum(newer))
}

// foreign adds files of another seed, and names that lie.
func (m *vectorMaker) foreign() {
	content := testContent(m.t, 9)
	other := testKeys(m.t, 77)
	file, err := Seal(content, other, nonces("other"))
	require.NoError(m.t, err)
	name := FileName(content.TokenID, content.TokenCreated)
	m.add(OtherSeed, "another seed", name, file)
	file, err = SealLegacy(content, other, nonces("other"))
	require.NoError(m.t, err)
	legacyName := LegacyFileName(content.TokenID, content.TokenCreated)
	m.add(DoesNotOpen, "older format, another seed", legacyName, file)

	file = m.native(content)
	numbered := fileName(content.TokenID, content.TokenCreated, 99)
	m.add(OK, "name with a number", numbered, file)
	for _, bad := range []string{
		"x", legacyName, name + "x", "x" + name,
		fileName(content.TokenID, content.TokenCreated, 100),
		FileName(content.TokenID, content.TokenCreated.Add(1)),
		FileName([32]byte{8}, content.TokenCreated),
		name[:len(name)-4] + ".0.lrb", name[:len(name)-4] + ".01.lrb",
	} {
		m.add(NameMismatch, "name "+bad, bad, file)
	}
	m.add(NameMismatch, "older format, name of the new", name,
		m.older(content))
}

// incomplete adds payloads that break a rule, sealed with the right key.
func (m *vectorMaker) incomplete() {
	content := testContent(m.t, 9)
	name := FileName(content.TokenID, content.TokenCreated)
	good := encodePayload(content)
	token := len(good) - len(content.Token)
	add := func(what string, payload []byte) {
		file, err := sealPayload(content, payload, m.keys, nonces(what))
		require.NoError(m.t, err)
		m.add(Incomplete, what, name, file)
	}
	number := func(what string, at int, value uint32) {
		payload := bytes.Clone(good)
		binary.BigEndian.PutUint32(payload[at:], value)
		add(fmt.Sprintf("%s %d", what, value), payload)
	}
	flip := func(what string, at int) {
		payload := bytes.Clone(good)
		payload[at] ^= 0xff
		add(what, payload)
	}

	add("empty payload", nil)
	add("payload without a token", good[:token])
	add("short payload", good[:token-1])
	add("payload cut", good[:len(good)-1])
	add("payload with a byte more", append(bytes.Clone(good), 0))
	flip("server key of an unknown kind", 0)
	flip("client key of an unknown kind", 33)
	offCurve := bytes.Clone(good)
	copy(offCurve[1:33], bytes.Repeat([]byte{0xff}, 32))
	add("server key beyond the field", offCurve)
	for _, value := range []uint32{0, 28_801, 1 << 31} {
		number("expiry", 78, value)
	}
	for _, value := range []uint32{1, 1 << 31} {
		number("protocol version", 66, value)
	}
	for _, value := range []uint32{0, 42_061, 42_062, 1 << 31} {
		number("client family", 70, value)
	}
	number("index", 74, 1<<31)
	number("receive family", 82, 0)
	number("change family", 86, 0)
	number("receive family", 82, 1<<31)
	number("receive family", 82, 42_062)
	number("change family", 86, 1<<31)
	number("first height", 90, 0)
	number("first height", 90, 1<<31)
	number("first height of the families", 94, 1<<31)
	number("token size", 98, 0xffffffff)
	number("macaroon size", token, 0xffffffff)
	flip("payment hash", len(good)-88)
	flip("preimage", len(good)-56)
	flip("creation time", len(good)-1)
	flip("version of the macaroon", token+4)
	unpaid := bytes.Clone(good)
	clear(unpaid[len(good)-56 : len(good)-24])
	add("token not paid", unpaid)
}

// plain returns the contents of a file of the older format.
func (m *vectorMaker) plain(file []byte) []byte {
	nonce := [nonceSize]byte(file[len(legacyMagic):])
	plain, ok := secretbox.Open(nil, file[legacyHeaderSize:], &nonce,
		(*[32]byte)(&m.keys.Legacy))
	require.True(m.t, ok)

	return plain
}

// olderBad adds what is wrong with files of the older format.
func (m *vectorMaker) olderBad() {
	content := testContent(m.t, 9)
	name := LegacyFileName(content.TokenID, content.TokenCreated)
	file := m.older(content)
	for _, size := range []int{8, 31, 47} {
		m.add(Corrupt, fmt.Sprintf("older, first %d bytes", size), name,
			file[:size])
	}
	for _, at := range []int{8, 32, 60, len(file) - 1} {
		bad := bytes.Clone(file)
		bad[at] ^= 1
		m.add(DoesNotOpen, fmt.Sprintf("older, byte %d changed", at),
			name, bad)
	}
	m.add(DoesNotOpen, "older, cut", name, file[:len(file)-1])

	plain := m.plain(file)
	for _, change := range []struct {
		verdict   Verdict
		old, with string
	}{
		{NewerVersion, `"version":1`, `"version":2`},
		{Incomplete, `"version":1`, `"version":0`},
		{Incomplete, `"version":1`, `"version":1,"version":1`},
		{Incomplete, `"version":1`, `"version":1,"more":1`},
		{Incomplete, `"version":1`, `"Version":1`},
		{Incomplete, `"version":1`, `"version":"1"`},
		{Incomplete, `"expiry":14400`, `"expiry":28801`},
		{Incomplete, `"expiry":14400`, `"expiry":-1`},
		{Incomplete, `"name":"l402.token"`, `"name":"l402.other"`},
		{Incomplete, `"network":"regtest"`, `"network":"othernet"`},
		{Incomplete, `}`, ``},
		{OK, `"version":1`, ` "version" : 1 `},
		{OK, `"version":1`, `"\u0076ersion":1`},
		{OK, `"network":"regtest"`, `"network":"regtes\u0074"`},
		{Incomplete, `"version":1`, `"Version":2,"version":1`},
		{Incomplete, `"version":1`, `"version":1,"\u0076ersion":2`},
		{Incomplete, `"version":1`, `"VERSION":2`},
		{Incomplete, `"version":1`, `"version":2.0`},
		{Incomplete, `"version":1`, `"version":4294967296`},
		{Incomplete, `"version":1`, `"version":true`},
		{Incomplete, `"version":1`, `"version":null`},
		{Incomplete, `"expiry":14400`, `"expiry":14400.0`},
		{Incomplete, `"expiry":14400`, `"expiry":1.44e4`},
		{Incomplete, `"protocol_version":0`, `"protocol_version":-0`},
		{Incomplete, `"protocol_version":0`, `"protocol_version":1`},
		{Incomplete, `"multi_address_first_height":850001`,
			`"multi_address_first_height":0`},
		{Incomplete, `"legacy_client_key_family":42060`,
			`"legacy_client_key_family":0`},
		{
			Incomplete, `"network":"regtest"`,
			"\"network\":\"regtest\xff\"",
		},
		{Incomplete, `"data":"`, `"data":"\n`},
		{Incomplete, `"token_files":[`, `"token_files":[null,`},
	} {
		changed := bytes.Replace(
			plain, []byte(change.old), []byte(change.with), 1,
		)
		require.NotEqual(m.t, plain, changed)
		bad, err := sealLegacy(changed, m.keys, nonces(change.with))
		require.NoError(m.t, err)
		m.add(change.verdict, "older, "+change.with, name, bad)
	}
}

// olderWhole adds contents of the older format that are not ours at all. What a
// newer version holds is not looked at, as long as it is an object.
func (m *vectorMaker) olderWhole() {
	content := testContent(m.t, 9)
	name := LegacyFileName(content.TokenID, content.TokenCreated)
	for _, test := range []struct {
		verdict Verdict
		plain   string
	}{
		{NewerVersion, `{"version":2}`},
		{
			NewerVersion,
			`{"more":[{"a":1},-0.5e3],"version":4294967295}`,
		},
		{Incomplete, `{"version":2,"more":{"a":1,"a":2}}`},
		{Incomplete, `{"version":2,"more":NaN}`},
		{Incomplete, `{"version":2,"more":"` + "\xff" + `"}`},
		{Incomplete, `{"version":2} {}`},
		{Incomplete, `[{"version":2}]`},
		{Incomplete, `{"more":{"version":2}}`},
		{Incomplete, `{}`},
		{Incomplete, `null`},
		{Incomplete, `2`},
		{Incomplete, ``},
	} {
		bad, err := sealLegacy(
			[]byte(test.plain), m.keys, nonces(test.plain),
		)
		require.NoError(m.t, err)
		m.add(test.verdict, "older, all of it "+test.plain, name, bad)
	}
}

// TestVectors checks that every test vector gets its verdict, and that those in
// the documents, which others test their decoders with, are what they are
// made from.
func TestVectors(t *testing.T) {
	made := newVectorMaker(t)
	made.good()
	made.damaged()
	made.foreign()
	made.incomplete()
	made.accepted()
	made.tokens()
	made.olderBad()
	made.olderWhole()

	var verdicts []Verdict
	for i := range made.vectors {
		v := &made.vectors[i]
		place := t.TempDir()
		path := filepath.Join(place, v.Name)
		require.NoError(t, os.WriteFile(
			path, unhex(t, v.File), 0o600,
		))

		store := NewStore(durable.OS(), v.Network, []string{place})
		entry, err := store.Judge(path, made.keys)
		require.NoError(t, err)
		require.Equal(t, v.Verdict, entry.Verdict, "%s: %s", v.Case,
			entry.Detail)
		require.Equal(t, v.Verdict == OK, entry.Content != nil)
		if entry.Content != nil {
			v.Fields = newFields(entry.Content)
		}
		verdicts = append(verdicts, v.Verdict)
	}
	require.GreaterOrEqual(t, len(made.vectors), minVectors)
	for _, verdict := range Verdicts() {
		// It takes an lnd to see what it derives, and a disk to fail.
		if verdict != KeyNotDerivable && verdict != Unreadable {
			require.True(t, slices.Contains(verdicts, verdict),
				verdict)
		}
	}

	data, err := json.MarshalIndent(made.vectors, "", " ")
	require.NoError(t, err)
	data = append(data, '\n')
	if *writeVectors {
		require.NoError(t, os.WriteFile(vectorsPath, data, 0o644))
	}
	stored, err := os.ReadFile(vectorsPath)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, stored),
		"docs/vectors/backup.json is not what the code makes; run "+
			"go test ./backup -run TestVectors -vectors")
}
