package backup

import (
	"bytes"
	"time"

	"github.com/looprecovery/looprecovery/staticaddr"
)

// Content is what a backup holds. Token is secret.
type Content struct {
	// Network is the network as loopd spells it: mainnet, testnet,
	// testnet4, signet, simnet or regtest.
	Network string

	// TokenID is the id of the paid L402 token.
	TokenID [32]byte

	// TokenCreated is the token's creation time, to the nanosecond.
	TokenCreated time.Time

	// Token holds the raw bytes of l402.token.
	Token []byte

	// Address determines all addresses of the generation.
	Address staticaddr.Descriptor

	// IndexUnknown says that the file, one of the older format, does not
	// tell Address.ClientLocator.Index, which is zero then.
	IndexUnknown bool

	// PairAccepted says that nothing proved that token and address belong
	// together, and that a person said so. Such a backup yields to one of
	// the same token that was proven.
	PairAccepted bool
}

// SameGeneration reports whether two contents determine the same token and the
// same addresses. The heights are left out: they say when something was done,
// and a restore by other software changes them. So is the index of the client
// key where one of the two does not tell it, and how the pair was established.
func (c *Content) SameGeneration(other *Content) bool {
	a, b := c.Address, other.Address
	if c.IndexUnknown || other.IndexUnknown {
		a.ClientLocator.Index = b.ClientLocator.Index
	}

	return c.Network == other.Network && c.TokenID == other.TokenID &&
		c.TokenCreated.Equal(other.TokenCreated) &&
		bytes.Equal(c.Token, other.Token) &&
		a.ProtocolVersion == b.ProtocolVersion &&
		a.ServerKey.IsEqual(b.ServerKey) &&
		a.ClientKey.IsEqual(b.ClientKey) &&
		a.ClientLocator == b.ClientLocator &&
		a.Expiry == b.Expiry &&
		a.ReceiveFamily == b.ReceiveFamily &&
		a.ChangeFamily == b.ChangeFamily
}

// ContradictedBy reports whether another valid backup claims the same token
// with different contents and weighs as much: then nobody can tell which of the
// two is right. A pair that was proven is contradicted by another proven one
// only; one that a person accepted, by any.
func (c *Content) ContradictedBy(other *Content) bool {
	return c.TokenID == other.TokenID && !c.SameGeneration(other) &&
		(c.PairAccepted || !other.PairAccepted)
}

// outranks reports whether a pair was proven, and another one only accepted.
func (c *Content) outranks(other *Content) bool {
	return !c.PairAccepted && other.PairAccepted
}

// Verdict is the result of judging a file. It is a closed list.
type Verdict string

// The verdicts.
const (
	// OK: the file is complete and opens with this seed.
	OK Verdict = "ok"

	// NotABackup: the file is of another kind.
	NotABackup Verdict = "not a backup"

	// Corrupt: the file was damaged.
	Corrupt Verdict = "corrupt"

	// OtherSeed: the file was made with another seed.
	OtherSeed Verdict = "other seed"

	// OtherNetwork: the file belongs to another network.
	OtherNetwork Verdict = "other network"

	// NewerVersion: the format is newer than this binary.
	NewerVersion Verdict = "newer version"

	// Incomplete: the contents do not suffice to restore.
	Incomplete Verdict = "incomplete"

	// NameMismatch: name and contents disagree.
	NameMismatch Verdict = "name does not match contents"

	// KeyNotDerivable: this lnd does not derive the client key.
	KeyNotDerivable Verdict = "key not derivable by this lnd"

	// Unreadable: the file cannot be read now, by this user or at all.
	Unreadable Verdict = "cannot be read"

	// DoesNotOpen: a file of the older format is damaged or of another
	// seed; that format cannot tell.
	DoesNotOpen Verdict = "does not open: damaged or other seed"
)

// Entry is one file in one place, judged.
type Entry struct {
	// Format is the format that the file claims to have, if any.
	Format Format

	// Path is the file's path; Place is the directory it lies in.
	Path, Place string

	// SHA256 is the hash of the whole file, if that was read.
	SHA256 [32]byte

	// Size is the file's size in bytes, ModTime its modification time.
	Size    int64
	ModTime time.Time

	// Verdict is the judgement, and Detail says more about it; Detail
	// holds nothing secret.
	Verdict Verdict
	Detail  string

	// Err is why the file could not be read, if that is the verdict.
	Err error

	// Network, TokenID and TokenCreated are what the header claims; they
	// are zero if there is no readable header. The older format has none:
	// there they are what the contents say, if they can be read.
	Network      string
	TokenID      [32]byte
	TokenCreated time.Time

	// Content is set if and only if Verdict is OK.
	Content *Content
}

// PlaceError says that a backup place cannot be listed.
type PlaceError struct {
	// Place is the directory.
	Place string

	// Err is the cause.
	Err error
}

// Error implements error.
func (e *PlaceError) Error() string {
	return "backup place " + e.Place + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *PlaceError) Unwrap() error {
	return e.Err
}
