package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/stretchr/testify/require"
)

// accepted adds files whose pair a person accepted, and payloads of either
// version under the header of the other.
func (m *vectorMaker) accepted() {
	proven := testContent(m.t, 9)
	accepted := accept(proven)
	name := FileName(proven.TokenID, proven.TokenCreated)
	m.add(OK, "accepted pair", name, m.native(accepted))

	good := encodePayload(accepted)
	at := len(good) - len(accepted.Token) - 2*fieldSize
	for _, test := range []struct {
		what    string
		header  *Content
		payload []byte
	}{
		{"version 1 under the header of 2", accepted,
			encodePayload(proven)},
		{"version 2 under the header of 1", proven, good},
		{"evidence 0", accepted, splice(good, at, 4, 0, 0, 0, 0)},
		{"evidence 2", accepted, splice(good, at, 4, 0, 0, 0, 2)},
		{"no token's size in version 2", accepted, good[:at+4]},
	} {
		file, err := sealPayload(
			test.header, test.payload, m.keys, nonces(test.what),
		)
		require.NoError(m.t, err)
		m.add(Incomplete, test.what, name, file)
	}
}

// splice replaces some bytes.
func splice(data []byte, at, size int, with ...byte) []byte {
	return slices.Concat(data[:at], with, data[at+size:])
}

// packet is a field of a macaroon.
func packet(kind byte, data ...byte) []byte {
	return slices.Concat([]byte{kind}, binary.AppendUvarint(
		nil, uint64(len(data)),
	), data)
}

// tokenOf returns a paid token with a macaroon of one's own.
func tokenOf(content *Content, macaroon []byte, preimage [32]byte) []byte {
	hash := sha256.Sum256(preimage[:])
	token := binary.BigEndian.AppendUint32(nil, uint32(len(macaroon)))
	token = slices.Concat(token, macaroon, hash[:], preimage[:],
		make([]byte, 16))

	return binary.BigEndian.AppendUint64(
		token, uint64(content.TokenCreated.UnixNano()),
	)
}

// identifierOf returns the identifier of a token's macaroon.
func identifierOf(content *Content, preimage [32]byte) []byte {
	hash := sha256.Sum256(preimage[:])

	return slices.Concat([]byte{0, 0}, hash[:], content.TokenID[:])
}

// tokens adds tokens whose macaroons use what the format of macaroons allows,
// or does not.
func (m *vectorMaker) tokens() {
	content := testContent(m.t, 9)
	name := FileName(content.TokenID, content.TokenCreated)
	preimage := [32]byte(bytes.Repeat([]byte{9}, 32))
	add := func(verdict Verdict, what string, token []byte) {
		changed := *content
		changed.Token = token
		file, err := sealPayload(
			&changed, encodePayload(&changed), m.keys, nonces(what),
		)
		require.NoError(m.t, err)
		m.add(verdict, "token: "+what, name, file)
	}
	for _, test := range macaroonCases(identifierOf(content, preimage)) {
		add(test.verdict, test.what, tokenOf(
			content, test.macaroon, preimage,
		))
	}

	// All zero is what stands for no preimage, whatever its hash.
	add(Incomplete, "preimage of zeros", tokenOf(content, slices.Concat(
		[]byte{2}, packet(2, identifierOf(content, [32]byte{})...),
		[]byte{0, 0}, packet(6, make([]byte, 32)...),
	), [32]byte{}))
}

// macaroonCase is a macaroon with the verdict on a file with it.
type macaroonCase struct {
	verdict  Verdict
	what     string
	macaroon []byte
}

// macaroonCases returns macaroons with an identifier.
func macaroonCases(id []byte) []macaroonCase {
	var (
		version, end = []byte{2}, []byte{0}
		located      = packet(1, 'x')
		ident        = packet(2, id...)
		caveat       = packet(2, 'c')
		verification = packet(4, 'v')
		signature    = packet(6, make([]byte, 32)...)
	)
	head := slices.Concat(version, ident, end)
	with := func(section ...[]byte) []byte {
		return slices.Concat(head, slices.Concat(section...), end,
			signature)
	}
	short, long := packet(2, id[:65]...), packet(2, append(id, 7)...)
	whole := with()

	return []macaroonCase{
		{OK, "no location", whole},
		{OK, "location", slices.Concat(version, located, ident, end,
			end, signature)},
		{Incomplete, "empty location", slices.Concat(version,
			packet(1), ident, end, end, signature)},
		{OK, "caveat", with(caveat, end)},
		{OK, "empty caveat", with(packet(2), end)},
		{OK, "two caveats", with(
			caveat, end, caveat, verification, end,
		)},
		{OK, "caveat of a third party", with(located, caveat,
			verification, end)},
		{OK, "verification id without a location", with(caveat,
			verification, end)},
		{Incomplete, "location without a verification id", with(
			located, caveat, end)},
		{Incomplete, "empty location of a caveat", with(packet(1),
			caveat, verification, end)},
		{Incomplete, "empty verification id", with(caveat, packet(4),
			end)},
		{Incomplete, "caveat without an identifier", with(located,
			verification, end)},
		{Incomplete, "fields out of order", with(verification, caveat,
			end)},
		{Incomplete, "identifier twice", with(caveat, caveat, end)},
		{Incomplete, "unknown field", with(caveat, packet(3), end)},
		{Incomplete, "short identifier", slices.Concat(version, short,
			end, end, signature)},
		{OK, "long identifier", slices.Concat(version, long, end, end,
			signature)},
		{Incomplete, "unknown version of the identifier", slices.Concat(
			version, packet(2, splice(id, 1, 1, 1)...), end, end,
			signature)},
		{Incomplete, "long form of a number", slices.Concat(version,
			[]byte{0x82, 0}, ident[1:], end, end, signature)},
		{Incomplete, "short signature", slices.Concat(head, end,
			packet(6, make([]byte, 31)...))},
		{Incomplete, "a byte more", append(whole, 0)},
		{Incomplete, "no signature", whole[:len(whole)-34]},
	}
}
