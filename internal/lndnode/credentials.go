package lndnode

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/looprecovery/looprecovery/states"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"gopkg.in/macaroon-bakery.v2/bakery"
	"gopkg.in/macaroon.v2"
)

const (
	// maxCredentialSize bounds the file of a certificate or macaroon, in
	// bytes.
	maxCredentialSize = 1 << 20

	// macaroonIDVersion begins the identifier of a macaroon of bakery's
	// version 3, before a lnrpc.MacaroonId (lncli printmacaroon reads it
	// so).
	macaroonIDVersion = 3

	// uriEntity is the entity of a permission for one method by its name
	// (lnd's macaroons.PermissionEntityCustomURI).
	uriEntity = "uri"
)

var (
	errNoFile      = errors.New("not a regular file")
	errTooLarge    = fmt.Errorf("larger than %d bytes", maxCredentialSize)
	errNoPEM       = errors.New("no certificate in PEM format")
	errNotAccepted = errors.New("lnd does not accept it")
)

// readCredential reads a small file, and does not wait if it is a pipe.
func readCredential(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNoFile
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()

	content, err := io.ReadAll(io.LimitReader(file, maxCredentialSize+1))
	if err == nil && len(content) > maxCredentialSize {
		err = errTooLarge
	}

	return content, err
}

// readTrust reads lnd's certificate.
func (n *Node) readTrust() (credentials.TransportCredentials, error) {
	pool := x509.NewCertPool()
	content, err := readCredential(n.cfg.TLSPath)
	if err == nil && !pool.AppendCertsFromPEM(content) {
		err = errNoPEM
	}
	if err != nil {
		return nil, &states.PermanentError{
			Reason: states.LndUnreachable,
			Detail: "certificate " + n.cfg.TLSPath, Err: err,
		}
	}

	return credentials.NewClientTLSFromCert(pool, ""), nil
}

// pass is a macaroon as it is sent with each call.
type pass struct {
	path    string
	content []byte
}

// readPass reads the macaroon. What it holds is for lnd to judge.
func (n *Node) readPass() (*pass, error) {
	content, err := readCredential(n.cfg.MacaroonPath)
	p := &pass{path: n.cfg.MacaroonPath, content: content}
	if err != nil {
		return nil, p.refused("", err)
	}

	return p, nil
}

// hex returns the macaroon as lnd wants it in the metadata of a call.
func (p *pass) hex() string {
	return hex.EncodeToString(p.content)
}

// with adds the macaroon to a call.
func (p *pass) with(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "macaroon", p.hex())
}

// refused returns the error of a macaroon that will not do.
func (p *pass) refused(why string, err error) error {
	return &states.PermanentError{
		Reason: states.LndRefuses, Detail: "macaroon " + p.path + why,
		Err: err,
	}
}

// ops returns what the macaroon permits, or false if it does not tell: lnd
// knows other ways to judge one, too. That it is genuine is for lnd to say.
func (p *pass) ops() ([]bakery.Op, bool) {
	var parsed macaroon.Macaroon
	if err := parsed.UnmarshalBinary(p.content); err != nil {
		return nil, false
	}
	id := parsed.Id()
	if len(id) == 0 || id[0] != macaroonIDVersion {
		return nil, false
	}
	var decoded lnrpc.MacaroonId
	if err := proto.Unmarshal(id[1:], &decoded); err != nil {
		return nil, false
	}

	var ops []bakery.Op
	for _, op := range decoded.Ops {
		for _, action := range op.Actions {
			ops = append(ops, bakery.Op{
				Entity: op.Entity, Action: action,
			})
		}
	}

	return ops, true
}

// permission is what lnd asks for before it answers some of its methods.
type permission struct {
	entity, action string
	methods        []string
}

// String returns the permission as lncli bakemacaroon takes it.
func (p permission) String() string {
	return p.entity + ":" + p.action
}

// needed are the permissions without which the embedded daemon does not start.
var needed = []permission{
	{"info", "read", []string{
		"/lnrpc.Lightning/GetInfo", "/verrpc.Versioner/GetVersion",
	}},
	{"onchain", "read", []string{
		"/walletrpc.WalletKit/ListUnspent",
		"/lnrpc.Lightning/GetTransactions",
		"/chainrpc.ChainNotifier/RegisterBlockEpochNtfn",
	}},
	{"signer", "generate", []string{"/signrpc.Signer/DeriveSharedKey"}},
}

// wanted are the permissions without which it starts, and fails at some of what
// it is asked for, or a recovery does.
var wanted = []permission{
	{"onchain", "read", []string{
		methodListAccounts, "/chainrpc.ChainKit/GetBlock",
		"/chainrpc.ChainKit/GetBestBlock",
		"/chainrpc.ChainKit/GetBlockHash",
		"/chainrpc.ChainKit/GetBlockHeader",
		"/walletrpc.WalletKit/EstimateFee",
	}},
	{"onchain", "write", []string{
		"/walletrpc.WalletKit/ImportTapscript",
		"/walletrpc.WalletKit/PublishTransaction",
		"/walletrpc.WalletKit/SendOutputs",
	}},
	{"address", "read", []string{
		"/walletrpc.WalletKit/DeriveKey",
		"/walletrpc.WalletKit/DeriveNextKey",
		"/walletrpc.WalletKit/NextAddr",
	}},
	{"signer", "generate", []string{
		"/signrpc.Signer/SignOutputRaw",
		"/signrpc.Signer/MuSig2CreateSession",
	}},
	{"offchain", "read", []string{"/routerrpc.Router/TrackPaymentV2"}},
	{"offchain", "write", []string{"/routerrpc.Router/SendPaymentV2"}},
	{"invoices", "write", []string{"/invoicesrpc.Invoices/AddHoldInvoice"}},
}

// Permissions returns what is held against a macaroon: the permission that lnd
// is taken to ask for before it answers each method, by its full name. A test
// holds it against a real lnd.
func Permissions() map[string]bakery.Op {
	all := make(map[string]bakery.Op)
	for _, permission := range slices.Concat(needed, wanted) {
		for _, method := range permission.methods {
			all[method] = bakery.Op{
				Entity: permission.entity,
				Action: permission.action,
			}
		}
	}

	return all
}

// lacks returns which of some permissions a macaroon does not give. A method is
// permitted by its permission or by its name.
func lacks(ops []bakery.Op, permissions []permission) string {
	var missing []string
	for _, permission := range permissions {
		for _, method := range permission.methods {
			if !permits(ops, permission, method) {
				missing = append(missing, permission.String())
				break
			}
		}
	}

	return strings.Join(missing, ", ")
}

// permits reports whether a method may be called.
func permits(ops []bakery.Op, by permission, method string) bool {
	return slices.Contains(ops, bakery.Op{
		Entity: by.entity, Action: by.action,
	}) || slices.Contains(ops, bakery.Op{Entity: uriEntity, Action: method})
}
