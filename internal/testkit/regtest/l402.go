package regtest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/lightninglabs/aperture/auth"
	"github.com/lightninglabs/aperture/l402"
	"github.com/lightninglabs/aperture/mint"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lntypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	// l402Service is the name of the service that the stand-in's tokens
	// are for.
	l402Service = "loop"

	// l402Price is the price of a token, in satoshis.
	l402Price = 7

	// lndCallTimeout bounds one call of the guard to the server's lnd.
	lndCallTimeout = 10 * time.Second
)

// errPaymentRequired is what aperture's client takes for a demand to pay.
var errPaymentRequired = status.Error(l402.GRPCErrCode, l402.GRPCErrMessage)

// l402Guard sells tokens and checks them, with aperture's own packages.
type l402Guard struct {
	authenticator auth.Authenticator
}

// newL402Guard makes a guard whose macaroons are made from secret and whose
// invoices are made by lnd.
func newL402Guard(secret []byte, lnd *Lnd) *l402Guard {
	invoices := &lndInvoices{
		lnd: lnd, settled: make(map[lntypes.Hash]bool),
	}

	return &l402Guard{
		authenticator: auth.NewL402Authenticator(mint.New(&mint.Config{
			Secrets:        derivedSecrets(secret),
			Challenger:     invoices,
			ServiceLimiter: unlimited{},
			Now:            time.Now,
		}), invoices),
	}
}

// check returns the id of the paid token that a call was made with.
func (g *l402Guard) check(ctx context.Context) (l402.TokenID, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	header := http.Header{
		l402.HeaderAuthorization: md.Get(l402.HeaderAuthorization),
		l402.HeaderMacaroon:      md.Get(l402.HeaderMacaroon),
	}
	if !g.authenticator.Accept(&header, l402Service) {
		return l402.TokenID{}, errPaymentRequired
	}
	mac, _, err := l402.FromHeader(&header)
	if err != nil {
		return l402.TokenID{}, err
	}
	id, err := l402.DecodeIdentifier(bytes.NewReader(mac.Id()))
	if err != nil {
		return l402.TokenID{}, err
	}

	return id.TokenID, nil
}

// challenge attaches a fresh macaroon and invoice to a call's answer and
// returns the error that asks for payment.
func (g *l402Guard) challenge(ctx context.Context) error {
	header, err := g.authenticator.FreshChallengeHeader(
		l402Service, l402Price,
	)
	if err != nil {
		return err
	}
	trailer := metadata.MD{}
	trailer.Append(l402.AuthHeader, header.Values(l402.AuthHeader)...)
	if err := grpc.SetTrailer(ctx, trailer); err != nil {
		return err
	}

	return errPaymentRequired
}

// derivedSecrets is a store of macaroon secrets that stores nothing: a secret
// is a function of its key. The tokens it made therefore outlive it.
type derivedSecrets []byte

// A compile time check that derivedSecrets can serve a mint.
var _ mint.SecretStore = derivedSecrets(nil)

// NewSecret returns the secret of a key.
func (d derivedSecrets) NewSecret(ctx context.Context,
	key [sha256.Size]byte) ([l402.SecretSize]byte, error) {

	return d.GetSecret(ctx, key)
}

// GetSecret returns the secret of a key.
func (d derivedSecrets) GetSecret(_ context.Context,
	key [sha256.Size]byte) ([l402.SecretSize]byte, error) {

	mac := hmac.New(sha256.New, d)
	mac.Write(key[:])

	return [l402.SecretSize]byte(mac.Sum(nil)), nil
}

// RevokeSecret has nothing to revoke: it is called when a mint failed, and
// nobody has the token.
func (d derivedSecrets) RevokeSecret(context.Context,
	[sha256.Size]byte) error {

	return nil
}

// unlimited sells tokens without restrictions.
type unlimited struct{}

// A compile time check that unlimited can serve a mint.
var _ mint.ServiceLimiter = unlimited{}

// ServiceCapabilities restricts nothing.
func (unlimited) ServiceCapabilities(context.Context, ...l402.Service) (
	[]l402.Caveat, error) {

	return nil, nil
}

// ServiceConstraints restricts nothing.
func (unlimited) ServiceConstraints(context.Context, ...l402.Service) (
	[]l402.Caveat, error) {

	return nil, nil
}

// ServiceTimeouts restricts nothing.
func (unlimited) ServiceTimeouts(context.Context, ...l402.Service) (
	[]l402.Caveat, error) {

	return nil, nil
}

// lndInvoices makes invoices with an lnd and asks it whether they were paid.
type lndInvoices struct {
	lnd *Lnd

	mu      sync.Mutex
	settled map[lntypes.Hash]bool
}

// Compile time checks that lndInvoices can serve a mint and an authenticator.
var (
	_ mint.Challenger     = (*lndInvoices)(nil)
	_ auth.InvoiceChecker = (*lndInvoices)(nil)
)

// NewChallenge makes an invoice over the price, in satoshis.
func (i *lndInvoices) NewChallenge(price int64) (string, lntypes.Hash,
	error) {

	ctx, cancel := context.WithTimeout(
		context.Background(), lndCallTimeout,
	)
	defer cancel()

	rpc, err := i.lnd.RPC()
	if err != nil {
		return "", lntypes.Hash{}, err
	}
	resp, err := rpc.AddInvoice(ctx, &lnrpc.Invoice{
		Memo: "L402", Value: price,
	})
	if err != nil {
		return "", lntypes.Hash{}, err
	}
	hash, err := lntypes.MakeHash(resp.RHash)

	return resp.PaymentRequest, hash, err
}

// Stop has nothing to stop.
func (i *lndInvoices) Stop() {}

// VerifyInvoiceStatus waits until the invoice is in the given state. What lnd
// once reported as settled is not asked again.
func (i *lndInvoices) VerifyInvoiceStatus(hash lntypes.Hash,
	want lnrpc.Invoice_InvoiceState, timeout time.Duration) error {

	i.mu.Lock()
	known := i.settled[hash]
	i.mu.Unlock()
	if known && want == lnrpc.Invoice_SETTLED {
		return nil
	}

	rpc, err := i.lnd.RPC()
	if err != nil {
		return err
	}
	err = Eventually(context.Background(), "the invoice's payment",
		timeout, func(ctx context.Context) error {
			invoice, err := rpc.LookupInvoice(
				ctx, &lnrpc.PaymentHash{RHash: hash[:]},
			)
			if err != nil {
				return err
			}
			if invoice.State != want {
				return fmt.Errorf("it is %v", invoice.State)
			}

			return nil
		})
	if err == nil && want == lnrpc.Invoice_SETTLED {
		i.mu.Lock()
		i.settled[hash] = true
		i.mu.Unlock()
	}

	return err
}
