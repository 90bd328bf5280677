package bip158

import (
	"math/rand/v2"
	"testing"

	"github.com/aead/siphash"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/stretchr/testify/require"
)

// TestSipHash: a script's hash is that of the reference implementation.
func TestSipHash(t *testing.T) {
	t.Parallel()

	rng := rand.New(rand.NewPCG(1, 2))
	for range 1_000 {
		block := chainhash.Hash(randomBytes(rng, chainhash.HashSize))
		x := [ScriptSize]byte(randomBytes(rng, ScriptSize))
		y := [ScriptSize]byte(randomBytes(rng, ScriptSize))

		a, b := newScript(&x), newScript(&y)
		k := newSipKey(&block)
		gotX, gotY := k.hash2(&a, &b)

		key := [16]byte(block[:16])
		require.Equal(t, siphash.Sum64(x[:], &key), gotX)
		require.Equal(t, siphash.Sum64(y[:], &key), gotY)
	}
}

// randomBytes returns bytes at random.
func randomBytes(rng *rand.Rand, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}

	return b
}
