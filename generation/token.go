package generation

import "time"

// TokenStatus says what is in place of a token file.
type TokenStatus uint8

const (
	// TokenAbsent: there is no token file.
	TokenAbsent TokenStatus = iota

	// TokenPending: there is a token whose payment is not settled.
	TokenPending

	// TokenPaid: there is a paid token.
	TokenPaid

	// TokenUnreadable: there is a file under the token's name that does
	// not parse as a token.
	TokenUnreadable
)

// Token is the part of an L402 token that is not secret.
type Token struct {
	// ID is the token's identifier.
	ID [32]byte

	// Created is when the token was made.
	Created time.Time

	// Paid says whether the preimage is there.
	Paid bool
}

// TokenProbe is what was found in place of the token file.
type TokenProbe struct {
	// Status says what is there.
	Status TokenStatus

	// Path is the file's path, if there is a file. Its name may be one that
	// upstream gives up at its next start.
	Path string

	// Token is set if Status is TokenPaid or TokenPending.
	Token Token

	// SHA256 is the hash of the file's bytes, if there is a file.
	SHA256 [32]byte
}
