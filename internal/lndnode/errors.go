package lndnode

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/looprecovery/looprecovery/states"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var (
	// ErrNotReady is returned by every port while there is no connection to
	// an unlocked lnd. The errors that wrap it say why.
	ErrNotReady = errors.New("lnd is not reachable or locked")

	// ErrNotSynced is passing: lnd has not caught up with its chain yet.
	ErrNotSynced = errors.New("lnd is not synced to the chain yet")
)

// callError types the error of a call to an active lnd, and says which call it
// was. lnd gives most of its errors no code of their own: those are transient.
func callError(call string, err error) error {
	if err == nil {
		return nil
	}
	detail := "lnd's " + call
	switch status.Code(err) {
	case codes.PermissionDenied, codes.Unauthenticated:
		return &states.PermanentError{
			Reason: states.LndRefuses, Detail: detail, Err: err,
		}

	case codes.Unimplemented:
		return &states.PermanentError{
			Reason: states.LndUnsuitable, Detail: detail, Err: err,
		}

	case codes.Unavailable, codes.DeadlineExceeded:
		return &states.TransientError{
			Reason: states.LndDown, Detail: detail, Err: err,
		}
	}

	return fmt.Errorf("%s: %w", detail, err)
}

// isPassing reports whether the code of an error says that it has nothing to do
// with what was asked for.
func isPassing(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return true
	}

	return false
}

// resolveError types an error of an address: only that of a name server may
// pass by itself.
func resolveError(err error) error {
	var (
		name  *net.DNSError
		fails = errors.As(err, &name) && !name.IsNotFound
	)
	if fails {
		return err
	}

	return &states.PermanentError{
		Reason: states.LndUnreachable, Detail: "--lnd.host", Err: err,
	}
}

// handshakeError types an error of a TLS handshake. What is not about the
// certificate or the protocol is about the connection, and may pass.
func handshakeError(err error) error {
	var (
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
	)
	switch {
	case err == nil:
		return nil

	case errors.As(err, &certificate), errors.As(err, &record),
		errors.As(err, &alert):

		return &states.PermanentError{
			Reason: states.LndUnreachable,
			Detail: "the certificate of --lnd.tlspath is not " +
				"that of --lnd.host",
			Err: err,
		}
	}

	return err
}
