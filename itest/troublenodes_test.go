package itest

import (
	"encoding/hex"
	"os"
	"path/filepath"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// credentialTroubles are those of how lnd is reached, none of which upstream
// survives. The file that is wrong is mended in its place.
func credentialTroubles() []trouble {
	wrong := func(name, option string, reason states.Reason,
		make, mend func(p *patient, path string)) trouble {

		return trouble{
			name: name, before: healthy,
			cause: func(p *patient) {
				path := p.place("credential")
				p.args = []string{
					"--lnd." + option + "=" + path,
				}
				make(p, path)
			},
			mend: func(p *patient) {
				mend(p, p.place("credential"))
			},
			want: symptoms{
				reason: reason, status: 3,
				log: `\[ERR\] .*` + string(reason),
			},
		}
	}
	macaroon := func(name string, make func(*patient, string)) trouble {
		return wrong(name, "macaroonpath", states.LndRefuses, make,
			func(p *patient, path string) {
				copyTo(p, p.Client.MacaroonPath(), path)
			})
	}
	certificate := func(name string, make func(*patient, string)) trouble {
		return wrong(name, "tlspath", states.LndUnreachable, make,
			func(p *patient, path string) {
				copyTo(p, p.Client.TLSPath(), path)
			})
	}
	missing := func(*patient, string) {}
	damaged := func(p *patient, path string) {
		require.NoError(p, os.WriteFile(path, garbage, 0o600))
	}

	narrow := macaroon("lnd-macaroon-narrow", bakeNarrow)
	narrow.brief = true

	return []trouble{
		narrow,
		certificate("lnd-certificate-missing", missing),
		macaroon("lnd-macaroon-missing", missing),
		macaroon("lnd-macaroon-garbage", damaged),
		macaroon("lnd-macaroon-foreign", func(p *patient, path string) {
			copyTo(p, p.Server.MacaroonPath(), path)
		}),
		certificate("lnd-certificate-garbage", damaged),
		certificate("lnd-certificate-foreign",
			func(p *patient, path string) {
				copyTo(p, p.Server.TLSPath(), path)
			}),
	}
}

// bakeNarrow makes a macaroon that may do all but read what is on the chain.
func bakeNarrow(p *patient, path string) {
	p.Helper()

	client, err := p.Client.RPC()
	require.NoError(p, err)
	all, err := client.ListPermissions(
		p.Context(), &lnrpc.ListPermissionsRequest{},
	)
	require.NoError(p, err)

	seen := make(map[string]bool)
	request := &lnrpc.BakeMacaroonRequest{}
	for _, method := range all.MethodPermissions {
		for _, op := range method.Permissions {
			key := op.Entity + ":" + op.Action
			if seen[key] || key == "onchain:read" ||
				op.Entity == "uri" {

				continue
			}
			seen[key] = true
			request.Permissions = append(request.Permissions, op)
		}
	}
	baked, err := client.BakeMacaroon(p.Context(), request)
	require.NoError(p, err)
	raw, err := hex.DecodeString(baked.Macaroon)
	require.NoError(p, err)
	require.NoError(p, os.WriteFile(path, raw, 0o600))
}

// ownLnd gives the patient an lnd of its own. Its directory is empty: nobody
// pays for a token there.
func ownLnd(p *patient) {
	p.Helper()

	lnd, err := p.StartLnd(p.Context(), regtest.LndConfig{
		Name: "lnd-" + filepath.Base(p.Dir()),
	})
	require.NoError(p, err)
	p.Cleanup(func() { require.NoError(p, lnd.Stop()) })
	p.lnd = lnd
	p.SetLnd(lnd)
}

// started is a directory whose loopd was up once, beside an lnd of its own.
func started(p *patient) {
	p.Helper()

	ownLnd(p)
	p.launch()
	require.NoError(p, p.WaitReady(p.Context()))
	require.NoError(p, p.Stop())
}

// nodeTroubles are those of lnd itself.
func nodeTroubles() []trouble {
	stop := func(p *patient) { require.NoError(p, p.lnd.Stop()) }
	start := func(p *patient) {
		require.NoError(p, p.lnd.Start(p.Context()))
	}

	return []trouble{{
		name: "lnd-down", before: started, cause: stop, mend: start,
		want: symptoms{
			reason: states.LndDown, status: 6, log: "LND_DOWN",
		},
	}, {
		name: "lnd-locked", before: started,
		cause: func(p *patient) {
			stop(p)
			require.NoError(p, p.lnd.StartLocked(p.Context()))
		},
		mend: func(p *patient) {
			require.NoError(p, p.lnd.Unlock(p.Context()))
		},
		want: symptoms{reason: states.LndLocked, status: 6},
	}, {
		name: "lnd-restarts", before: started, running: true,
		cause: func(p *patient) { require.NoError(p, p.lnd.Kill()) },
		mend:  start,
		want:  symptoms{reason: states.LndDown},
	}, {
		name: "lnd-renews-credentials", before: started, running: true,
		cause: func(p *patient) {
			stop(p)
			for _, path := range []string{
				p.lnd.TLSPath(), p.lnd.TLSKeyPath(),
			} {
				require.NoError(p, os.Remove(path))
			}
		},
		mend: start,
		want: symptoms{reason: states.LndUnreachable, status: 3},
	}, {
		name: "lnd-other-wallet", before: started, running: true,
		cause: func(p *patient) {
			words := p.lnd.Words()
			require.NoError(p, os.WriteFile(
				p.place("words"), []byte(join(words)), 0o600,
			))
			require.NoError(p, p.lnd.Recreate(p.Context(), nil))
		},
		mend: func(p *patient) {
			words, err := os.ReadFile(p.place("words"))
			require.NoError(p, err)
			require.NoError(p, p.lnd.Recreate(
				p.Context(), split(string(words)),
			))
		},
		want: symptoms{reason: states.WrongLnd, status: 3},
	}, {
		name: "lnd-other-wallet-at-start", before: healthy,
		cause: func(p *patient) { p.SetLnd(p.Server) },
		mend: func(p *patient) {
			require.NoError(p, p.Stop())
			p.SetLnd(p.Client)
			p.launch()
		},
		want: symptoms{reason: states.WrongLnd, status: 3},
	}, {
		// Only the address tells: a database from elsewhere.
		name: "lnd-other-wallet-of-the-address", before: healthy,
		cause: func(p *patient) {
			p.remove("macaroons.db", "loop.macaroon")
			p.SetLnd(p.Server)
		},
		mend: func(p *patient) {
			require.NoError(p, p.Stop())
			p.remove("macaroons.db", "loop.macaroon")
			p.SetLnd(p.Client)
			p.launch()
		},
		want: symptoms{
			reason: states.WrongLnd, status: 3,
			log: `\[ERR\] .*WRONG_LND: the static address`,
		},
	}}
}
