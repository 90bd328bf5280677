package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/lightningnetwork/lnd/macaroons"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"gopkg.in/macaroon.v2"
)

const (
	// callTimeout bounds a call that only reads or notes something.
	callTimeout = 30 * time.Second

	// judgeTimeout bounds the call that reads every backup file.
	judgeTimeout = 5 * time.Minute

	// maxMessage is the largest message that is accepted from loopd, in
	// bytes.
	maxMessage = 64 << 20

	// maxCredential is the largest macaroon or certificate file that is
	// read, in bytes.
	maxCredential = 1 << 20

	// macaroonSeconds is for how long a macaroon that was sent can be used
	// by somebody who overheard it; as upstream's `loop` has it.
	macaroonSeconds = 60
)

// client talks to loopd.
type client struct {
	recoveryrpc.RecoveryClient

	conn *grpc.ClientConn
}

// close ends the connection.
func (c *client) close() {
	_ = c.conn.Close()
}

// newClient prepares a connection to loopd. It is established by the first
// call.
func newClient(flags flagValues) (*client, error) {
	where, err := newConnection(flags)
	if err != nil {
		return nil, err
	}

	// Whether the certificate can be read is asked first: without one
	// there is no loopd to talk to either.
	if _, err := readCredential(where.tlsCert); err != nil {
		return nil, credentialError(
			"certificate", where.tlsCert, tlsCertPathName, err,
		)
	}
	transport, err := credentials.NewClientTLSFromFile(where.tlsCert, "")
	if err != nil {
		return nil, credentialError(
			"certificate", where.tlsCert, tlsCertPathName, err,
		)
	}

	caller, err := readMacaroon(where.macaroon)
	if err != nil {
		return nil, credentialError(
			"macaroon", where.macaroon, macaroonPathName, err,
		)
	}

	conn, err := grpc.NewClient(
		where.server,
		grpc.WithTransportCredentials(transport),
		grpc.WithPerRPCCredentials(caller),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxMessage),
		),
	)
	if err != nil {
		return nil, &userError{
			code: exitUsage,
			what: fmt.Sprintf("%q is not an address of a "+
				"server: %v", where.server, err),
			untouched: "Nothing was sent to loopd.",
			next:      "--rpcserver HOST:PORT",
			cause:     err,
		}
	}

	return &client{
		RecoveryClient: recoveryrpc.NewRecoveryClient(conn),
		conn:           conn,
	}, nil
}

// ask makes one call to loopd, which may take the given time.
func ask[Request, Response any](ctx context.Context, flags flagValues,
	limit time.Duration, method func(recoveryrpc.RecoveryClient,
		context.Context, Request, ...grpc.CallOption) (Response, error),
	request Request) (Response, error) {

	var none Response
	client, err := newClient(flags)
	if err != nil {
		return none, err
	}
	defer client.close()

	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	return method(client, ctx, request)
}

// credentialError explains that a file that is needed to talk to loopd cannot
// be used.
func credentialError(kind, path, flag string, err error) error {
	return &userError{
		code: exitConnection,
		what: fmt.Sprintf("loopd's %s, %s, cannot be used: %v", kind,
			path, err),
		untouched: "Nothing was sent to loopd.",
		next: fmt.Sprintf("start loopd once, or say where it keeps "+
			"its files: --network, --loopdir, --%s", flag),
		cause: err,
	}
}

// readCredential reads a file that is needed to talk to loopd.
func readCredential(path string) ([]byte, error) {
	return readBounded(path, maxCredential)
}

// readBounded reads a regular file that is at most limit bytes long.
func readBounded(path string, limit int64) ([]byte, error) {
	// Opening a named pipe would wait for a writer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}

	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = file.Close()
	}()

	content, err := readLimited(file, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}

	return content, nil
}

// readLimited reads all of a stream that is at most limit bytes long.
func readLimited(from io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("larger than %d bytes", limit)
	}

	return content, err
}

// macaroonCredential sends a macaroon with every call. Each call gets a copy
// that is valid for a minute from then, so that a command that follows a
// recovery for hours can connect again.
type macaroonCredential struct {
	macaroon *macaroon.Macaroon
}

// A compile-time check of the interface.
var _ credentials.PerRPCCredentials = (*macaroonCredential)(nil)

// readMacaroon reads the macaroon at the path.
func readMacaroon(path string) (*macaroonCredential, error) {
	content, err := readCredential(path)
	if err != nil {
		return nil, err
	}

	read := &macaroon.Macaroon{}
	if err := read.UnmarshalBinary(content); err != nil {
		return nil, err
	}

	return &macaroonCredential{macaroon: read}, nil
}

// GetRequestMetadata returns the macaroon of one call. It is called by gRPC,
// concurrently.
func (m *macaroonCredential) GetRequestMetadata(context.Context,
	...string) (map[string]string, error) {

	limited, err := macaroons.AddConstraints(
		m.macaroon, macaroons.TimeoutConstraint(macaroonSeconds),
	)
	if err != nil {
		return nil, err
	}

	encoded, err := limited.MarshalBinary()
	if err != nil {
		return nil, err
	}

	return map[string]string{"macaroon": hex.EncodeToString(encoded)}, nil
}

// RequireTransportSecurity returns true: a macaroon is never sent in clear.
func (m *macaroonCredential) RequireTransportSecurity() bool {
	return true
}
