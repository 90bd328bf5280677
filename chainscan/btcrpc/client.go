package btcrpc

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	// maxAnswer bounds the answer to one batch, in bytes: as many filters
	// as are asked for at once, of twice the usual size, in hex, or one
	// block.
	maxAnswer = 64 << 20

	// dialTimeout bounds the setting up of a connection, and idleTimeout
	// how long one is kept.
	dialTimeout = 10 * time.Second
	idleTimeout = time.Minute
)

// The codes of errors that the two nodes share, or that one of them alone has.
const (
	// codeNoMethod says that the node does not know the method.
	codeNoMethod = -32601

	// codeMisc is what both say of an index that they do not have, and
	// bitcoind of a block that was pruned.
	codeMisc = -1

	// codeNotFound says that the block is not known.
	codeNotFound = -5
)

// Error is an error that the node answered with.
type Error struct {
	// Code is the node's code.
	Code int `json:"code"`

	// Message is for people.
	Message string `json:"message"`
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("%s (%d)", e.Message, e.Code)
}

var (
	// ErrRefused says that the node did not accept user and password.
	ErrRefused = errors.New("the node refuses user and password")

	// ErrAnswer says that an answer is not one to what was asked.
	ErrAnswer = errors.New("an answer that is none")
)

// Config says where a node is and how to get in.
type Config struct {
	// Host is the node's address, with the port.
	Host string

	// User and Password are the node's rpcuser and rpcpassword.
	User, Password string

	// CookiePath, if set, is the file in which bitcoind leaves user and
	// password, and used instead of them.
	CookiePath string

	// CertPath is the certificate of a node that speaks TLS, as btcd does.
	// Without it the connection is not encrypted, as bitcoind's is not.
	CertPath string
}

// client makes batches of calls. It is safe for concurrent use.
type client struct {
	cfg  Config
	url  string
	http *http.Client
}

// newClient returns a client. It makes no call.
func newClient(cfg Config) (*client, error) {
	transport := &http.Transport{
		TLSHandshakeTimeout: dialTimeout,
		IdleConnTimeout:     idleTimeout,
	}
	scheme := "http"
	if cfg.CertPath != "" {
		trust, err := trustOnly(cfg.CertPath)
		if err != nil {
			return nil, err
		}
		scheme, transport.TLSClientConfig = "https", trust
	}

	return &client{
		cfg: cfg,
		url: scheme + "://" + cfg.Host + "/",
		http: &http.Client{
			Transport: transport,

			// Nobody is dialled who was not named.
			CheckRedirect: func(*http.Request,
				[]*http.Request) error {

				return http.ErrUseLastResponse
			},
		},
	}, nil
}

// trustOnly returns the TLS settings that trust one certificate.
func trustOnly(path string) (*tls.Config, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the node's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s is no certificate", path)
	}

	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

// call is one call of a batch.
type call struct {
	method string
	params []any
}

// request is a call as it is sent.
type request struct {
	Version string `json:"jsonrpc"`
	ID      int    `json:"id"`
	Method  string `json:"method"`
	Params  []any  `json:"params"`
}

// reply is the answer to a call.
type reply struct {
	ID     *int            `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *Error          `json:"error"`
}

// batch makes some calls at once and returns the answers in their order. Of
// each the error is that of the node.
func (c *client) batch(ctx context.Context, calls []call) ([]reply, error) {
	requests := make([]request, len(calls))
	for i, call := range calls {
		requests[i] = request{
			Version: "2.0",
			ID:      i,
			Method:  call.method,
			Params:  call.params,
		}
	}
	body, err := json.Marshal(requests)
	if err != nil {
		return nil, err
	}
	answer, err := c.post(ctx, body)
	if err != nil {
		return nil, err
	}

	var unordered []reply
	if err := json.Unmarshal(answer, &unordered); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	replies := make([]reply, len(calls))
	seen := make([]bool, len(calls))
	for _, reply := range unordered {
		id := reply.ID
		if id == nil || *id < 0 || *id >= len(calls) || seen[*id] {
			return nil, fmt.Errorf("%w: to no call", ErrAnswer)
		}
		replies[*id], seen[*id] = reply, true
	}
	if len(unordered) != len(calls) {
		return nil, fmt.Errorf("%w: %d answers to %d calls", ErrAnswer,
			len(unordered), len(calls))
	}

	return replies, nil
}

// post sends a body and returns the answer's.
func (c *client) post(ctx context.Context, body []byte) ([]byte, error) {
	httpRequest, err := http.NewRequestWithContext(
		ctx, http.MethodPost, c.url, bytes.NewReader(body),
	)
	if err != nil {
		return nil, err
	}
	user, password, err := c.credentials()
	if err != nil {
		return nil, err
	}
	httpRequest.SetBasicAuth(user, password)
	httpRequest.Header.Set("Content-Type", "application/json")

	response, err := c.http.Do(httpRequest)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()

	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, ErrRefused
	default:
		return nil, fmt.Errorf("%w: %s", ErrAnswer, response.Status)
	}

	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err == nil && len(answer) > maxAnswer {
		err = fmt.Errorf("%w: more than %d bytes", ErrAnswer, maxAnswer)
	}

	return answer, err
}

// credentials returns user and password. A cookie is another one each time
// bitcoind starts.
func (c *client) credentials() (string, string, error) {
	if c.cfg.CookiePath == "" {
		return c.cfg.User, c.cfg.Password, nil
	}

	cookie, err := os.ReadFile(c.cfg.CookiePath)
	if err != nil {
		return "", "", fmt.Errorf("the node's cookie: %w", err)
	}
	text := strings.TrimSpace(string(cookie))
	user, password, ok := strings.Cut(text, ":")
	if !ok {
		return "", "", fmt.Errorf("%s is no cookie", c.cfg.CookiePath)
	}

	return user, password, nil
}
