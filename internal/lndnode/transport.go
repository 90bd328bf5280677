package lndnode

import (
	"context"
	"net"
	"sync"

	"github.com/lightningnetwork/lnd/lncfg"
	"google.golang.org/grpc/credentials"
)

// transport opens the one connection of a look and keeps the error of its last
// attempt as it was: what gRPC tells of it is text.
type transport struct {
	// TransportCredentials make the handshake.
	credentials.TransportCredentials

	seen *seen
}

// seen is the newest error of a transport and its clones.
type seen struct {
	mu  sync.Mutex
	err error
}

// newTransport returns a transport that trusts the given credentials.
func newTransport(trust credentials.TransportCredentials) *transport {
	return &transport{TransportCredentials: trust, seen: &seen{}}
}

// note keeps an error, or that there was none.
func (t *transport) note(err error) {
	t.seen.mu.Lock()
	defer t.seen.mu.Unlock()

	t.seen.err = err
}

// last returns the newest error.
func (t *transport) last() error {
	t.seen.mu.Lock()
	defer t.seen.mu.Unlock()

	return t.seen.err
}

// dial opens a connection for gRPC.
func (t *transport) dial(ctx context.Context, address string) (net.Conn,
	error) {

	conn, err := dial(ctx, address)
	t.note(err)

	return conn, err
}

// ClientHandshake implements credentials.TransportCredentials.
func (t *transport) ClientHandshake(ctx context.Context, authority string,
	raw net.Conn) (net.Conn, credentials.AuthInfo, error) {

	conn, info, err := t.TransportCredentials.ClientHandshake(
		ctx, authority, raw,
	)
	t.note(handshakeError(err))

	return conn, info, err
}

// Clone implements credentials.TransportCredentials.
func (t *transport) Clone() credentials.TransportCredentials {
	return &transport{
		TransportCredentials: t.TransportCredentials.Clone(),
		seen:                 t.seen,
	}
}

// dial opens a connection to lnd, by the rules of its addresses.
func dial(ctx context.Context, address string) (net.Conn, error) {
	parsed, err := lncfg.ParseAddressString(
		address, lndPort, net.ResolveTCPAddr,
	)
	if err != nil {
		return nil, resolveError(err)
	}
	var dialer net.Dialer

	return dialer.DialContext(ctx, parsed.Network(), parsed.String())
}
