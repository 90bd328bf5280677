package loopd

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/looprecovery/looprecovery/chainscan/sourcetest"
	"github.com/stretchr/testify/require"
)

// TestBackendSources: what the node that lnd uses can give decides what a scan
// reads from it; a node that the configuration does not name is never called.
func TestBackendSources(t *testing.T) {
	t.Parallel()

	chain := sourcetest.NewChain(3)
	for name, test := range map[string]struct {
		node            *sourcetest.Node
		down            bool
		blocks, filters int
	}{
		"none": {},
		"with filters": {
			node: &sourcetest.Node{}, blocks: 1, filters: 1,
		},
		"bitcoind": {
			node:   &sourcetest.Node{Bitcoind: true},
			blocks: 1, filters: 1,
		},
		"without filters": {
			node:   &sourcetest.Node{NoFilters: true},
			blocks: 1,
		},
		"another password": {
			node:   &sourcetest.Node{User: "u"},
			blocks: 1, filters: 1,
		},
		"down": {
			node: &sourcetest.Node{}, down: true,
			blocks: 1, filters: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			cfg := DefaultConfig()
			if test.node != nil {
				test.node.Chain = chain
				server := httptest.NewServer(test.node)
				t.Cleanup(server.Close)
				cfg.Recovery.Node.Host = strings.TrimPrefix(
					server.URL, "http://",
				)
				if test.down {
					server.Close()
				}
			}

			d := &Daemon{backend: newBackend(&cfg)}
			blocks, filters := d.backendSources(t.Context())
			require.Len(t, blocks, test.blocks)
			require.Len(t, filters, test.filters)
		})
	}

	cfg := DefaultConfig()
	cfg.Recovery.Node.Host = "127.0.0.1:1"
	cfg.Recovery.Node.Cert = "/does/not/exist"
	require.Nil(t, newBackend(&cfg), "a certificate that is none")
}
