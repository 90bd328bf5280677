package loopd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// serverConfig returns a configuration whose ports are on the loopback.
func serverConfig(t *testing.T) *Config {
	t.Helper()

	cfg := DefaultConfig()
	cfg.Network = "regtest"
	cfg.DataDir = t.TempDir()
	cfg.RPCListen = "127.0.0.1:0"
	cfg.RESTListen = "127.0.0.1:0"
	cfg.TLSCertPath = filepath.Join(cfg.DataDir, "tls.cert")
	cfg.TLSKeyPath = filepath.Join(cfg.DataDir, "tls.key")
	cfg.TLSDisableAutofill = true

	return &cfg
}

// ownedDaemon returns a daemon that owns its directory and does nothing.
func ownedDaemon(t *testing.T, cfg *Config) *Daemon {
	t.Helper()

	daemon, err := newOwned(t.Context(), cfg, newOwner(cfg))
	require.NoError(t, err)
	t.Cleanup(func() {
		daemon.Stop()
		require.NoError(t, daemon.end())
		daemon.owner.Release()
	})

	return daemon
}

// serveDaemon opens both ports of a daemon whose lnd is locked, and returns
// the address of the REST port.
func serveDaemon(t *testing.T, cfg *Config) string {
	t.Helper()

	// The REST port is not told; take one that is free.
	listener, err := net.Listen("tcp", cfg.RESTListen)
	require.NoError(t, err)
	cfg.RESTListen = listener.Addr().String()
	require.NoError(t, listener.Close())

	daemon := ownedDaemon(t, cfg)
	daemon.auth.setReason(states.LndLocked)
	servers, err := serve(cfg, daemon.services())
	require.NoError(t, err)
	t.Cleanup(servers.stop)

	return cfg.RESTListen
}

// requireREST checks that a call reaches the service through the proxy.
func requireREST(t *testing.T, address string, header http.Header) {
	t.Helper()

	client := &http.Client{
		Timeout: callPatience,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true,
		}},
	}
	resp, err := client.Get("https://" + address + "/v1/loop/info")
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	require.Contains(t, string(body), string(states.LndLocked))
	for name := range header {
		require.Equal(t, header.Get(name), resp.Header.Get(name))
	}
}

// TestRESTWithAnyCertificate checks that the proxy reaches its own process
// whatever certificate the user has given it.
func TestRESTWithAnyCertificate(t *testing.T) {
	ecKey := func() (any, any) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		return key, &key.PublicKey
	}
	rsaKey := func() (any, any) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(t, err)
		return key, &key.PublicKey
	}

	for name, setUp := range map[string]struct {
		key     func() (any, any)
		dns     []string
		ips     []net.IP
		chained bool
	}{
		"localhost only": {key: ecKey, dns: []string{"localhost"}},
		"an address only": {
			key: ecKey, ips: []net.IP{net.IPv4(10, 1, 2, 3)},
		},
		"a public name": {
			key: ecKey, dns: []string{"loop.example.com"},
		},
		"no name":      {key: ecKey},
		"RSA":          {key: rsaKey, dns: []string{"localhost"}},
		"an authority": {key: ecKey, dns: []string{"x"}, chained: true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := serverConfig(t)
			private, public := setUp.key()
			writeCert(t, cfg, &x509.Certificate{
				DNSNames: setUp.dns, IPAddresses: setUp.ips,
				NotAfter: time.Now().Add(time.Hour),
			}, private, public, setUp.chained)
			requireREST(t, serveDaemon(t, cfg), nil)
		})
	}
}

// TestRESTWithOwnCertificate checks the certificate that we make, on all the
// ways to name the loopback, and that an expired one is made anew.
func TestRESTWithOwnCertificate(t *testing.T) {
	for _, listen := range []string{
		"127.0.0.1:0", "localhost:0", "0.0.0.0:0", "[::1]:0", "[::]:0",
	} {
		cfg := serverConfig(t)
		cfg.RPCListen = listen
		cfg.CORSOrigin = "https://example.com"
		requireREST(t, serveDaemon(t, cfg), http.Header{
			"Access-Control-Allow-Origin": {cfg.CORSOrigin},
		})
	}

	cfg := serverConfig(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	writeCert(t, cfg, &x509.Certificate{
		NotAfter: time.Now().Add(-time.Hour),
	}, key, &key.PublicKey, false)
	expired, err := os.ReadFile(cfg.TLSCertPath)
	require.NoError(t, err)
	requireREST(t, serveDaemon(t, cfg), nil)
	made, err := os.ReadFile(cfg.TLSCertPath)
	require.NoError(t, err)
	require.NotEqual(t, expired, made)
}

// TestProxyTrustsNobodyElse checks that the proxy sends a caller's macaroon to
// no server but ours.
func TestProxyTrustsNobodyElse(t *testing.T) {
	ours, err := loadTLS(serverConfig(t))
	require.NoError(t, err)
	others, err := loadTLS(serverConfig(t))
	require.NoError(t, err)

	for _, server := range []tls.Certificate{ours, others} {
		near, far := net.Pipe()
		go func() {
			_ = tls.Server(far, serverTLS(server)).Handshake()
		}()
		err := tls.Client(near, proxyTLS(ours)).Handshake()
		if &server.Certificate[0][0] == &ours.Certificate[0][0] {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, errOtherCert)
		}
	}
}

// TestServeRefused checks that what is wrong with the ports or the certificate
// is an error of the start.
func TestServeRefused(t *testing.T) {
	for _, spoil := range []func(*Config){
		func(cfg *Config) { cfg.RPCListen = "no address" },
		func(cfg *Config) { cfg.RESTListen = "no address" },
		func(cfg *Config) {
			cfg.TLSCertPath = filepath.Join(cfg.DataDir, "no", "x")
		},
		func(cfg *Config) {
			require.NoError(t, os.WriteFile(
				cfg.TLSCertPath, []byte("no certificate"),
				0o600,
			))
		},
	} {
		cfg := serverConfig(t)
		spoil(cfg)
		_, err := serve(cfg, standbyService())
		require.Error(t, err)
	}
}

// TestRESTDisabled checks that no address means no REST port.
func TestRESTDisabled(t *testing.T) {
	cfg := serverConfig(t)
	cfg.RESTListen = ""
	servers, err := serve(cfg, standbyService())
	require.NoError(t, err)
	require.Nil(t, servers.rest)
	servers.stop()
}

// TestFirstFailureEnds checks that the first failure is kept, and that no
// number of them makes a handler wait.
func TestFirstFailureEnds(t *testing.T) {
	s := &servers{failed: make(chan error, maxServerFailures)}
	s.fail(errTest)
	for range 2 * maxServerFailures {
		s.fail(io.EOF)
	}
	require.ErrorIs(t, <-s.failed, errTest)
}

// writeCert writes a certificate and its key; a chained one is signed by an
// authority, whose certificate follows in the file.
func writeCert(t *testing.T, cfg *Config, template *x509.Certificate, private,
	public any, chained bool) {

	t.Helper()

	template.SerialNumber = big.NewInt(7)
	template.Subject = pkix.Name{CommonName: "test"}
	template.NotBefore = time.Now().Add(-2 * time.Hour)
	parent, signer := template, private
	var chain []byte
	if chained {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		parent = &x509.Certificate{
			SerialNumber: big.NewInt(1), IsCA: true,
			Subject: pkix.Name{
				CommonName: "authority",
			},
			NotAfter:              time.Now().Add(time.Hour),
			BasicConstraintsValid: true,
		}
		signer = key
		der, err := x509.CreateCertificate(
			rand.Reader, parent, parent, &key.PublicKey, key,
		)
		require.NoError(t, err)
		chain = pem.EncodeToMemory(
			&pem.Block{Type: "CERTIFICATE", Bytes: der},
		)
	}

	der, err := x509.CreateCertificate(
		rand.Reader, template, parent, public, signer,
	)
	require.NoError(t, err)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(
		cfg.TLSCertPath, append(cert, chain...), 0o600,
	))
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(cfg.TLSKeyPath, pem.EncodeToMemory(
		&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER},
	), 0o600))
}
