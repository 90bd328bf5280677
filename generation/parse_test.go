package generation

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/macaroon.v2"
)

// maxAllocated is the most that parsing may allocate, in bytes: a length in a
// file is not to be trusted.
const maxAllocated = 1 << 20

// unprotected returns the offsets in a token file that nothing in it vouches
// for: the token id, the macaroon's location and signature, and all that
// follows the preimage. A backup repeats id and time in its header, and
// authenticates everything.
func unprotected(data []byte) map[int]bool {
	macaroonSize := int(binary.BigEndian.Uint32(data))
	afterMacaroon := lengthSize + macaroonSize
	free := make(map[int]bool)
	mark := func(start, size int) {
		for i := range size {
			free[start+i] = true
		}
	}

	mac := data[lengthSize:afterMacaroon]
	mark(lengthSize+bytes.Index(mac, []byte("loop")), len("loop"))
	hash := data[afterMacaroon : afterMacaroon+hashSize]
	mark(lengthSize+bytes.Index(mac, hash)+hashSize, 32)
	mark(afterMacaroon-32, 32)
	mark(afterMacaroon+hashSize+preimageSize, amountsSize+createdSize)

	return free
}

// TestDamagedToken checks every change of a single byte, every truncation and a
// trailing byte. What the token's own hashes cover is refused; what they do not
// cover never makes an unpaid token, nor one of another payment, of a paid one.
func TestDamagedToken(t *testing.T) {
	data := makeToken(t, 5, true)
	free := unprotected(data)
	require.Len(t, free, len("loop")+32+32+amountsSize+createdSize)

	for i := range data {
		_, err := ParseToken(data[:i])
		require.ErrorIs(t, err, ErrNotToken)

		damaged := bytes.Clone(data)
		for delta := 1; delta < 256; delta++ {
			damaged[i] = data[i] ^ byte(delta)
			token, err := ParseToken(damaged)
			if !free[i] {
				require.ErrorIs(t, err, ErrNotToken, "byte %d",
					i)

				continue
			}
			require.NoError(t, err, "byte %d", i)
			require.True(t, token.Paid)
		}
	}
	_, err := ParseToken(append(bytes.Clone(data), 0))
	require.ErrorIs(t, err, ErrNotToken)
}

// TestTokenAllocation checks that no byte of a file makes the parser allocate
// much: upstream's reserves up to 4 GiB for one flipped bit.
func TestTokenAllocation(t *testing.T) {
	data := makeToken(t, 5, true)
	for i := range data {
		for _, value := range []byte{0, 0x7f, 0x80, 0xff} {
			damaged := bytes.Clone(data)
			damaged[i] = value

			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _ = ParseToken(damaged)
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc,
				uint64(maxAllocated))
		}
	}
}

// TestOlderMacaroon checks that a macaroon of a version that is not in use is
// refused: the format of a backup specifies one.
func TestOlderMacaroon(t *testing.T) {
	data := makeToken(t, 5, true)
	size := binary.BigEndian.Uint32(data)
	var mac macaroon.Macaroon
	require.NoError(t, mac.UnmarshalBinary(
		data[lengthSize:lengthSize+size],
	))

	// A packet is its size in four hex digits, a name, a space, the value
	// and a line feed.
	var raw []byte
	for _, packet := range [][2][]byte{
		{[]byte("location"), []byte("loop")},
		{[]byte("identifier"), mac.Id()},
		{[]byte("signature"), mac.Signature()},
	} {
		raw = fmt.Appendf(raw, "%04x%s %s\n",
			len("0000 \n")+len(packet[0])+len(packet[1]),
			packet[0], packet[1])
	}
	var older macaroon.Macaroon
	require.NoError(t, older.UnmarshalBinary(raw))

	token := binary.BigEndian.AppendUint32(nil, uint32(len(raw)))
	token = append(token, raw...)
	token = append(token, data[lengthSize+size:]...)
	_, err := ParseToken(token)
	require.ErrorIs(t, err, ErrNotToken)
}

// FuzzParseToken looks for inputs that make the parser panic, or that it and a
// second reading of its result disagree on.
func FuzzParseToken(f *testing.F) {
	paid := makeToken(f, 5, true)
	f.Add(paid)
	f.Add(makeToken(f, 6, false))
	f.Add(paid[:len(paid)-1])
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, fixedSize))
	f.Fuzz(func(t *testing.T, data []byte) {
		token, err := ParseToken(data)
		if (token == nil) == (err == nil) {
			t.Fatal("neither a token nor an error, or both")
		}
		if err != nil {
			require.ErrorIs(t, err, ErrNotToken)
			return
		}

		// What is accepted is a whole token: less of it is none.
		_, err = ParseToken(data[:len(data)-1])
		require.ErrorIs(t, err, ErrNotToken)
	})
}
