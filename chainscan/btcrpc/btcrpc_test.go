package btcrpc

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/chainscan/sourcetest"
	"github.com/stretchr/testify/require"
)

// testPassword gets one in.
const testPassword = "a password"

// newTest returns a source over a node.
func newTest(t *testing.T, node *sourcetest.Node) *Source {
	node.User, node.Password = "user", testPassword

	return newTestSource(t, node, Config{
		User: node.User, Password: node.Password,
	})
}

// newTestSource returns a source over a handler.
func newTestSource(t *testing.T, handler http.Handler, cfg Config) *Source {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)

	cfg.Host = strings.TrimPrefix(server.URL, "http://")
	source, err := New(cfg)
	require.NoError(t, err)

	return source
}

// TestConformance: over either node the source is as good as any.
func TestConformance(t *testing.T) {
	t.Parallel()

	for _, bitcoind := range []bool{false, true} {
		chain := sourcetest.NewChain(2*maxRange + 7)
		source := newTest(t, &sourcetest.Node{
			Chain: chain, Bitcoind: bitcoind,
		})
		sourcetest.TestSource(t, source, chain)
		sourcetest.TestFilters(t, source, chain)

		name := map[bool]string{false: "btcd at", true: "bitcoind at"}
		require.Contains(t, source.Name(), name[bitcoind])
	}
}

// TestProbe: what a node cannot do is told apart from what keeps us out.
func TestProbe(t *testing.T) {
	t.Parallel()

	chain := sourcetest.NewChain(3)
	for _, bitcoind := range []bool{false, true} {
		without := newTest(t, &sourcetest.Node{
			Chain: chain, Bitcoind: bitcoind, NoFilters: true,
		})
		require.ErrorIs(t, without.Probe(t.Context()), ErrNoFilters)
		sourcetest.TestSource(t, without, chain)

		with := newTest(t, &sourcetest.Node{
			Chain: chain, Bitcoind: bitcoind,
		})
		require.NoError(t, with.Probe(t.Context()))
	}

	stranger := newTestSource(t, &sourcetest.Node{
		Chain: chain, User: "user", Password: testPassword,
	}, Config{User: "user", Password: "another"})
	err := stranger.Probe(t.Context())
	require.ErrorIs(t, err, ErrRefused)
	require.NotContains(t, err.Error(), testPassword)
}

// TestPruned: a block that the node has pruned, or does not know, is named as
// missing, so that another source is asked.
func TestPruned(t *testing.T) {
	t.Parallel()

	chain := sourcetest.NewChain(3)
	for _, bitcoind := range []bool{false, true} {
		source := newTest(t, &sourcetest.Node{
			Chain: chain, Bitcoind: bitcoind, Pruned: true,
		})
		hash, err := source.BlockHash(t.Context(), 1)
		require.NoError(t, err)

		for _, hash := range []chainhash.Hash{hash, {9}} {
			_, err = source.Block(t.Context(), hash)
			require.ErrorIs(t, err, chainscan.ErrUnavailable)
		}
		sourcetest.TestFilters(t, source, chain)
	}
}

// TestCookie: the file is read for each call, since it changes when bitcoind
// starts.
func TestCookie(t *testing.T) {
	t.Parallel()

	node := &sourcetest.Node{
		Chain: sourcetest.NewChain(3), Bitcoind: true,
		User: "__cookie__", Password: testPassword,
	}
	path := filepath.Join(t.TempDir(), ".cookie")
	source := newTestSource(t, node, Config{CookiePath: path})
	require.ErrorIs(t, source.Probe(t.Context()), os.ErrNotExist)

	for _, cookie := range []string{"", "no cookie", "__cookie__:old"} {
		require.NoError(t, os.WriteFile(path, []byte(cookie), 0o600))
		require.Error(t, source.Probe(t.Context()))
	}
	cookie := []byte("__cookie__:" + testPassword + "\n")
	require.NoError(t, os.WriteFile(path, cookie, 0o600))
	require.NoError(t, source.Probe(t.Context()))
}

// TestNonsense: whatever a server answers, it is an error and no panic.
func TestNonsense(t *testing.T) {
	t.Parallel()

	for _, body := range []string{
		``, `{}`, `[]`, `[{}]`, `[null]`, `[{"id":0}]`, `[{"id":7}]`,
		`[{"id":0,"result":5}]`, `[{"id":0,"result":"zz"}]`,
		`[{"id":0,"result":{}}]`, `[{"id":0,"result":null}]`,
		`[{"id":0,"result":"00"},{"id":0,"result":"00"}]`,
		`[{"id":0,"result":"00"},{"id":1,"result":"00"}]`,
		`<html>`,
	} {
		source := newTestSource(t, http.HandlerFunc(
			func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(body))
			},
		), Config{})
		source.dialect.Store(btcd)

		_, err := source.Filters(t.Context(), 0, 5)
		require.Error(t, err, body)
		_, err = source.Filters(t.Context(), 1, 1)
		require.Error(t, err, body)
		_, err = source.BestBlock(t.Context())
		require.Error(t, err, body)
		if body != `[{"id":0,"result":"00"},{"id":1,"result":"00"}]` {
			_, err = source.Block(t.Context(), chainhash.Hash{})
			require.Error(t, err, body)
		}
	}
}

// TestCancel: a call ends with its context, whatever the node does.
func TestCancel(t *testing.T) {
	t.Parallel()

	source := newTestSource(t, http.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		},
	), Config{})
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	_, err := source.BestBlock(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

// TestRedirect checks that nobody is called but the node that was named.
func TestRedirect(t *testing.T) {
	t.Parallel()

	other := httptest.NewServer(http.HandlerFunc(
		func(http.ResponseWriter, *http.Request) {
			t.Error("another node was called")
		},
	))
	t.Cleanup(other.Close)
	node := httptest.NewServer(http.RedirectHandler(
		other.URL, http.StatusTemporaryRedirect,
	))
	t.Cleanup(node.Close)

	client, err := newClient(Config{
		Host: strings.TrimPrefix(node.URL, "http://"),
	})
	require.NoError(t, err)
	_, err = client.batch(t.Context(), []call{{method: "getbestblockhash"}})
	require.ErrorIs(t, err, ErrAnswer)
}
