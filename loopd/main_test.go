package loopd

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/btcsuite/btclog/v2"
	upstream "github.com/lightninglabs/loop/loopd"
	"github.com/lightningnetwork/lnd/signal"
	"github.com/stretchr/testify/require"
)

// TestLogging checks that the log goes where upstream's would, at its level,
// and that the old options of its rotation still count.
//
// Nothing is logged: the rotator of the log file reads a field, at the start of
// its goroutine, that the first line writes, which is no harm but a data race.
func TestLogging(t *testing.T) {
	t.Cleanup(func() {
		for _, use := range loggers {
			use(btclog.Disabled)
		}
	})
	dir := t.TempDir()
	cfg, err := load(
		t, "", "--loopdir="+dir, "--network=regtest",
		"--debuglevel=debug", "--maxlogfiles=2", "--maxlogfilesize=3",
	)
	require.NoError(t, err)
	require.NoError(t, upstream.Validate(&cfg.Config))
	require.Equal(t, 2, cfg.Logging.File.MaxLogFiles)
	require.Equal(t, 3, cfg.Logging.File.MaxLogFileSize)

	done, err := setUpLogging(cfg, signal.Interceptor{})
	require.NoError(t, err)
	require.False(t, done)
	require.FileExists(
		t, filepath.Join(dir, "logs", "regtest", logFilename),
	)
	require.Equal(t, btclog.LevelDebug, log.Level())

	cfg.DebugLevel = "show"
	done, err = setUpLogging(cfg, signal.Interceptor{})
	require.NoError(t, err)
	require.True(t, done)

	cfg.DebugLevel = "nonsense"
	_, err = setUpLogging(cfg, signal.Interceptor{})
	require.Error(t, err)
	cfg.LogDir = filepath.Join(dir, "\x00")
	_, err = setUpLogging(cfg, signal.Interceptor{})
	require.Error(t, err)
}

// TestLndMacaroonDir checks that the old option still leads to a macaroon.
func TestLndMacaroonDir(t *testing.T) {
	cfg, err := load(
		t, "", "--loopdir="+t.TempDir(), "--lnd.macaroonpath=",
		"--lnd.macaroondir=/macaroons",
	)
	require.NoError(t, err)
	require.NoError(t, upstream.Validate(&cfg.Config))
	require.Equal(t, "/macaroons/admin.macaroon", cfg.Lnd.MacaroonPath)
}

// TestCertificateOptions checks what the certificate that we make holds.
func TestCertificateOptions(t *testing.T) {
	for _, autofill := range []bool{true, false} {
		cfg := serverConfig(t)
		cfg.TLSDisableAutofill = !autofill
		cfg.TLSExtraIPs = []string{"10.9.8.7"}
		cfg.TLSExtraDomains = []string{"loop.example.com"}
		cfg.TLSValidity = 48 * time.Hour
		_, err := loadTLS(cfg)
		require.NoError(t, err)

		data, err := os.ReadFile(cfg.TLSCertPath)
		require.NoError(t, err)
		block, _ := pem.Decode(data)
		made, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		require.NoError(t, made.VerifyHostname("loop.example.com"))
		require.NoError(t, made.VerifyHostname("10.9.8.7"))
		require.WithinDuration(t, time.Now().Add(cfg.TLSValidity),
			made.NotAfter, time.Hour)

		host, err := os.Hostname()
		require.NoError(t, err)
		require.Equal(t, autofill, made.VerifyHostname(host) == nil)
		require.True(t, hasIP(made, net.IPv4(127, 0, 0, 1)))
	}
}

// hasIP reports whether a certificate is for an address.
func hasIP(cert *x509.Certificate, want net.IP) bool {
	for _, ip := range cert.IPAddresses {
		if ip.Equal(want) {
			return true
		}
	}

	return false
}
