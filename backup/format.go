package backup

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightninglabs/lndclient"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/generation"
	"golang.org/x/crypto/chacha20poly1305"
)

const (
	magic       = "looprcv1"
	version     = 1
	headerSize  = 8 + 2 + 8 + 32 + 8 + 16 + 24 + 4
	trailerSize = 32
	// MaxFile is the largest file.
	MaxFile   = 1 << 20
	keyFamily = 42_071
)

// Keys are the keys of one seed.
type Keys struct{ Native Key }

// Key is a symmetric key.
type Key [32]byte

// SharedKeyDeriver is lnd's signer.
type SharedKeyDeriver interface {
	DeriveSharedKey(ctx context.Context, pub *btcec.PublicKey,
		loc *keychain.KeyLocator) ([32]byte, error)
}

// DeriveKeys derives the keys.
func DeriveKeys(ctx context.Context, d SharedKeyDeriver) (Keys, error) {
	shared, err := d.DeriveSharedKey(ctx, lndclient.SharedKeyNUMS,
		&keychain.KeyLocator{Family: keyFamily})
	if err != nil {
		return Keys{}, err
	}
	raw, err := hkdf.Key(sha256.New, shared[:], nil, "looprecovery backup v1", 32)
	if err != nil {
		return Keys{}, err
	}
	return Keys{Native: Key(raw)}, nil
}

func (k Key) check() [16]byte {
	sum := sha256.Sum256(append([]byte("looprecovery key check"), k[:]...))
	return [16]byte(sum[:16])
}

// Error is a verdict with detail.
type Error struct {
	Verdict Verdict
	Detail  string
}

// Error implements error.
func (e *Error) Error() string { return string(e.Verdict) + ": " + e.Detail }

func fail(v Verdict, format string, args ...any) error {
	return &Error{v, fmt.Sprintf(format, args...)}
}

// Header is what a file says without a key.
type Header struct {
	Network string
	TokenID [32]byte
	Created time.Time
	check   [16]byte
	nonce   [24]byte
	length  uint32
}

// Seal encrypts.
func Seal(c *Content, keys Keys, random io.Reader) ([]byte, error) {
	if err := c.Address.Validate(); err != nil {
		return nil, err
	}
	var p bytes.Buffer
	w := func(v any) { _ = binary.Write(&p, binary.BigEndian, v) }
	a := c.Address
	w(uint32(a.ProtocolVersion))
	p.Write(a.ServerKey.SerializeCompressed())
	p.Write(a.ClientKey.SerializeCompressed())
	w(uint32(a.ClientLocator.Family))
	w(a.ClientLocator.Index)
	w(a.Expiry)
	w(a.ReceiveFamily)
	w(a.ChangeFamily)
	w(a.FirstHeight)
	w(a.FamiliesFirstHeight)
	w(uint32(len(c.Token)))
	p.Write(c.Token)

	var h bytes.Buffer
	h.WriteString(magic)
	_ = binary.Write(&h, binary.BigEndian, uint16(version))
	var network [8]byte
	copy(network[:], c.Network)
	h.Write(network[:])
	h.Write(c.TokenID[:])
	_ = binary.Write(&h, binary.BigEndian, c.TokenCreated.UnixNano())
	check := keys.Native.check()
	h.Write(check[:])
	var nonce [24]byte
	if _, err := io.ReadFull(random, nonce[:]); err != nil {
		return nil, err
	}
	h.Write(nonce[:])
	_ = binary.Write(&h, binary.BigEndian, uint32(p.Len()+16))
	aead, err := chacha20poly1305.NewX(keys.Native[:])
	if err != nil {
		return nil, err
	}
	out := aead.Seal(h.Bytes(), nonce[:], p.Bytes(), h.Bytes())
	sum := sha256.Sum256(out)
	return append(out, sum[:]...), nil
}

// ReadHeader parses the header.
func ReadHeader(data []byte) (*Header, error) {
	if len(data) < 8 || string(data[:8]) != magic {
		return nil, fail(NotABackup, "no magic")
	}
	if len(data) < headerSize+trailerSize || len(data) > MaxFile {
		return nil, fail(Corrupt, "size %d", len(data))
	}
	body := data[:len(data)-trailerSize]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], data[len(body):]) {
		return nil, fail(Corrupt, "checksum")
	}
	if v := binary.BigEndian.Uint16(data[8:]); v != version {
		return nil, fail(NewerVersion, "version %d", v)
	}
	h := &Header{
		Network: string(bytes.TrimRight(data[10:18], "\x00")),
		TokenID: [32]byte(data[18:50]),
		Created: time.Unix(0, int64(binary.BigEndian.Uint64(data[50:]))),
		check:   [16]byte(data[58:74]),
		nonce:   [24]byte(data[74:98]),
		length:  binary.BigEndian.Uint32(data[98:]),
	}
	if int64(h.length) != int64(len(body)-headerSize) {
		return nil, fail(Corrupt, "length")
	}
	return h, nil
}

// Open decrypts.
func Open(data []byte, keys Keys) (*Content, error) {
	h, err := ReadHeader(data)
	if err != nil {
		return nil, err
	}
	if h.check != keys.Native.check() {
		return nil, fail(OtherSeed, "key check")
	}
	aead, err := chacha20poly1305.NewX(keys.Native[:])
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, h.nonce[:], data[headerSize:len(data)-trailerSize], data[:headerSize])
	if err != nil {
		return nil, fail(Corrupt, "authentication")
	}
	return decodePayload(plain, h)
}

func decodePayload(plain []byte, h *Header) (*Content, error) {
	const fixed = 4 + 33 + 33 + 4*8
	if len(plain) < fixed {
		return nil, fail(Incomplete, "payload of %d bytes", len(plain))
	}
	server, err1 := btcec.ParsePubKey(plain[4:37])
	client, err2 := btcec.ParsePubKey(plain[37:70])
	if err := errors.Join(err1, err2); err != nil {
		return nil, fail(Incomplete, "keys")
	}
	n := func(i int) uint32 { return binary.BigEndian.Uint32(plain[70+4*i:]) }
	if int64(n(7)) != int64(len(plain)-fixed) {
		return nil, fail(Incomplete, "token length")
	}
	token := plain[fixed:]
	parsed, err := generation.ParseToken(token)
	if err != nil || !parsed.Paid {
		return nil, fail(Incomplete, "token")
	}
	if parsed.ID != h.TokenID || !parsed.Created.Equal(h.Created) {
		return nil, fail(Incomplete, "token is not the header's")
	}
	c := &Content{Network: h.Network, TokenID: h.TokenID, TokenCreated: h.Created, Token: token}
	c.Address.ProtocolVersion = binary.BigEndian.Uint32(plain)
	c.Address.ServerKey, c.Address.ClientKey = server, client
	c.Address.ClientLocator = keychain.KeyLocator{Family: keychain.KeyFamily(n(0)), Index: n(1)}
	c.Address.Expiry = n(2)
	c.Address.ReceiveFamily, c.Address.ChangeFamily = int32(n(3)), int32(n(4))
	c.Address.FirstHeight, c.Address.FamiliesFirstHeight = int32(n(5)), int32(n(6))
	if err := c.Address.Validate(); err != nil {
		return nil, fail(Incomplete, "%v", err)
	}
	return c, nil
}

// FileName is the canonical name.
func FileName(c *Content) string {
	return fmt.Sprintf("loop_recovery_%019d_%s.lrb", c.TokenCreated.UnixNano(), hex.EncodeToString(c.TokenID[:]))
}
