package keeper

import (
	"context"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
)

// PairID names a token and an address.
type PairID struct {
	// TokenID is the id of the paid token.
	TokenID [32]byte

	// ClientKey is the address's compressed client key.
	ClientKey [btcec.PubKeyBytesLenCompressed]byte
}

// Proof is what says that a token and an address belong together.
type Proof string

// The proofs, the weakest first.
const (
	// Unproven: there is none.
	Unproven Proof = ""

	// Accepted: a person said so.
	Accepted Proof = "accepted"

	// BackedUp: a valid backup holds both.
	BackedUp Proof = "backup"

	// Seen: this daemon saw the address made with the token, in one call.
	Seen Proof = "seen"
)

// strength orders proofs.
var strength = map[Proof]int{Unproven: 0, Accepted: 1, BackedUp: 2, Seen: 2}

// Pair is a proof, and when it was had.
type Pair struct {
	PairID

	Proof Proof
	When  time.Time
}

// Outranks reports whether a proof is stronger than another one.
func (p Pair) Outranks(other Pair) bool {
	return strength[p.Proof] > strength[other.Proof]
}

// proof returns the strongest proof for a pair: that of this process or of an
// earlier one.
func (k *Keeper) proof(ctx context.Context, id PairID) Proof {
	pair, _ := k.pairs.Pair(ctx, id)
	recorded, err := k.cfg.Memory.Pair(ctx, id)
	switch {
	case err != nil:
		log.Warnf("The proofs of earlier lives cannot be read: %v", err)

	case recorded != nil && (pair == nil || recorded.Outranks(*pair)):
		pair = recorded
	}
	if pair == nil {
		return Unproven
	}

	return pair.Proof
}

// prove records a proof. It counts for this process even if it cannot be
// written.
func (k *Keeper) prove(ctx context.Context, id PairID, proof Proof) {
	pair := Pair{PairID: id, Proof: proof, When: k.now()}
	_ = k.pairs.RecordPair(ctx, pair)
	if err := k.cfg.Memory.RecordPair(ctx, pair); err != nil {
		log.Warnf("That token %x belongs to its address (%s) will be "+
			"forgotten at the end of the process: %v", id.TokenID,
			proof, err)
	}
}
