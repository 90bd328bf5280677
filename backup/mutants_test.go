package backup

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/chacha20poly1305"
)

// mutants is the number of mutants that both decoders judge.
var mutants = flag.Int("mutants", 300, "mutants for TestSecondDecoder")

// secondDecoder is the decoder that was written from the document.
const secondDecoder = "../docs/vectors/decode.py"

// TestSecondDecoder checks that the document says all that the decoder does:
// one that was written from it comes to the same verdicts and contents, on
// files that were changed before they were sealed with the right key, so that
// nothing but the rules for the contents stands between a change and its
// verdict.
func TestSecondDecoder(t *testing.T) {
	python, err := exec.LookPath("python3")
	require.NoError(t, err, "install python3 (Debian: apt-get install "+
		"python3)")

	made := newVectorMaker(t)
	mutator := &mutator{
		vectorMaker: made, random: rand.New(rand.NewPCG(1, 1)),
	}
	for range *mutants {
		mutator.add()
	}
	store := NewStore(nil, "regtest", []string{"/"})
	verdicts := make(map[Verdict]int)
	for i := range made.vectors {
		made.vectors[i].judgeIn(t, store, made.keys)
		verdicts[made.vectors[i].Verdict]++
	}
	t.Logf("verdicts: %v", verdicts)

	data, err := json.Marshal(made.vectors)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "mutants.json")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	decoder := exec.Command(python, secondDecoder, path)
	output, err := decoder.CombinedOutput()
	t.Logf("%s", output)
	require.NoError(t, err)
}

// judgeIn judges a vector and keeps what the verdict is.
func (v *vector) judgeIn(t *testing.T, store *Store, keys Keys) {
	t.Helper()

	entry, err := store.judgeData(
		Entry{Path: v.Name}, unhex(t, v.File), keys, true,
	)
	require.NoError(t, err)
	v.Verdict = entry.Verdict
	if entry.Content != nil {
		v.Fields = newFields(entry.Content)
	}
}

// mutator makes files that are almost right, the same each time.
type mutator struct {
	*vectorMaker

	random *rand.Rand
}

// add adds one mutant.
func (m *mutator) add() {
	content := testContent(m.t, 9)
	if m.chance(3) {
		content = accept(content)
	}
	name := FileName(content.TokenID, content.TokenCreated)

	var file []byte
	kind := m.random.IntN(7)
	switch kind {
	case 0:
		file = m.seal(content, m.bytes(encodePayload(content)))

	case 1:
		file = m.seal(content, m.number(encodePayload(content)))

	case 2:
		content.Token = m.token(content)
		file = m.seal(content, encodePayload(content))

	case 3:
		file = m.header(content)

	case 4:
		file = m.bytes(m.native(content))
		if len(file) > checksumSize && m.chance(2) {
			file = resum(file)
		}

	default:
		content = testContent(m.t, 9)
		name = LegacyFileName(content.TokenID, content.TokenCreated)
		file = m.json(string(m.plain(m.older(content))))
	}
	if m.chance(20) {
		name = string(m.bytes([]byte(name)))
	}
	m.vectorMaker.add("", fmt.Sprintf("mutant %d of kind %d",
		len(m.vectors), kind), name, file)
}

// chance is true once in n times.
func (m *mutator) chance(n int) bool {
	return m.random.IntN(n) == 0
}

// one returns one of some values.
func one[T any](m *mutator, values ...T) T {
	return values[m.random.IntN(len(values))]
}

// seal seals a payload under the header of contents.
func (m *mutator) seal(content *Content, payload []byte) []byte {
	file, err := sealPayload(
		content, payload, m.keys, nonces(string(payload)),
	)
	require.NoError(m.t, err)

	return file
}

// bytes changes, removes or adds one byte or a few.
func (m *mutator) bytes(data []byte) []byte {
	for range 1 + m.random.IntN(2) {
		if len(data) == 0 {
			return data
		}
		at := m.random.IntN(len(data))
		switch m.random.IntN(6) {
		case 0:
			data = splice(data, at, 1)

		case 1:
			data = splice(data, at, 0, one[byte](m, 0, 1, 0xff))

		case 2:
			data = splice(data, at, 1, data[at]^1<<m.random.IntN(8))

		case 3:
			data = data[:at]

		default:
			data = splice(data, at, 1,
				one[byte](m, 0, 1, 2, 4, 0x7f, 0x80, 0xff))
		}
	}

	return data
}

// number changes one of the payload's numbers to one that is, almost, allowed.
func (m *mutator) number(payload []byte) []byte {
	at := 2*keySize + fieldSize*m.random.IntN(10)
	value := one[uint32](m, 0, 1, 2, 28_800, 28_801, 42_060, 42_061, 42_062,
		1<<31-1, 1<<31, 1<<32-1, uint32(len(payload)-payloadSize))

	return splice(payload, at, fieldSize,
		binary.BigEndian.AppendUint32(nil, value)...)
}

// header changes the header before the payload is sealed under it, so that it
// is authentic.
func (m *mutator) header(content *Content) []byte {
	payload := encodePayload(content)
	header := (&Header{
		Version: content.version(), Network: content.Network,
		TokenID: content.TokenID, TokenCreated: content.TokenCreated,
		KeyCheck: m.keys.check,
		Size:     uint32(len(payload) + chacha20poly1305.Overhead),
	}).encode()
	at := m.random.IntN(headerSize)
	header[at] = one(m, header[at]^1, header[at]^0x80, 0, 1, 2, 3)
	if m.chance(4) {
		network := make([]byte, networkSize)
		copy(network, one(m, append(networks, "", "reg\x00test")...))
		copy(header[len(magic)+versionSize:], network)
	}

	cipher, err := chacha20poly1305.NewX(m.keys.Native[:])
	require.NoError(m.t, err)
	nonce := header[headerSize-lengthSize-nonceSize:][:nonceSize]
	file := cipher.Seal(slices.Clone(header), nonce, payload, header)

	return resum(append(file, make([]byte, checksumSize)...))
}

// token returns a token with a macaroon of random fields.
func (m *mutator) token(content *Content) []byte {
	preimage := [32]byte{9, byte(m.random.IntN(2))}
	if m.chance(20) {
		preimage = [32]byte{}
	}
	id := identifierOf(content, preimage)
	if m.chance(4) {
		id = m.bytes(id)
	}

	mac := []byte{2}
	section := func(kinds ...byte) {
		for _, kind := range kinds {
			if kind == 2 && !m.chance(10) || m.chance(3) {
				data := make([]byte, m.random.IntN(3))
				mac = append(mac, packet(kind, data...)...)
			}
		}
		mac = append(mac, 0)
	}
	if m.chance(3) {
		mac = append(
			mac, packet(1, make([]byte, m.random.IntN(3))...)...,
		)
	}
	mac = append(append(mac, packet(2, id...)...), 0)
	for m.chance(2) {
		section(1, 2, 4)
	}
	mac = append(append(mac, 0), packet(6, make([]byte, 32)...)...)
	if m.chance(4) {
		mac = m.bytes(mac)
	}

	return tokenOf(content, mac, preimage)
}

// jsonPart matches the parts of JSON that are replaced.
var jsonPart = regexp.MustCompile(`"[^"]*"|[0-9]+|[{}\[\]:,]`)

// json changes the contents of a file of the older format.
func (m *mutator) json(plain string) []byte {
	if m.chance(3) {
		plain = string(m.bytes([]byte(plain)))
	}
	for range m.random.IntN(3) {
		parts := jsonPart.FindAllStringIndex(plain, -1)
		if len(parts) == 0 {
			break
		}
		part := parts[m.random.IntN(len(parts))]
		old := plain[part[0]:part[1]]
		plain = plain[:part[0]] + m.replaceJSON(old) + plain[part[1]:]
	}
	file, err := sealLegacy([]byte(plain), m.keys, nonces(plain))
	require.NoError(m.t, err)

	return file
}

// replaceJSON returns what takes the place of a part of JSON: the same in other
// words, or something that is almost right.
func (m *mutator) replaceJSON(part string) string {
	if len(part) > 2 && part[0] == '"' && m.chance(2) {
		at := 1 + m.random.IntN(len(part)-2)

		return fmt.Sprintf(
			`%s\u%04x%s`, part[:at], part[at], part[at+1:],
		)
	}

	return one(m, " "+part+"\n", part+","+part, part+part, "", "null",
		"true", "0", "-0", "1", "2", "1.0", "1e0", "-1", "28801",
		"2147483648", "4294967296", "9223372036854775808",
		`"version"`, `"Version"`, `""`, `"AA=="`, `"AB=="`, "[]", "{}",
		`"version":2,`+part, part+`,"version":1`, "NaN", "\ufeff"+part,
	)
}
