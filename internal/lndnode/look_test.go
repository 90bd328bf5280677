package lndnode

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/verrpc"
	"github.com/looprecovery/looprecovery/internal/testkit/fakelnd"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"gopkg.in/macaroon-bakery.v2/bakery"
)

// without returns what lnd's admin macaroon permits, but for one entity.
func without(entity, action string) []bakery.Op {
	var ops []bakery.Op
	for _, op := range fakelnd.Everything() {
		if op.Entity != entity || op.Action != action {
			ops = append(ops, op)
		}
	}

	return ops
}

// trouble is a way in which lnd cannot be used.
type trouble struct {
	name string

	// make brings the trouble about. It may change where lnd is looked
	// for.
	make func(*testing.T, *fakelnd.Lnd, *Config)

	reason    states.Reason
	permanent bool

	// about must be in the error.
	about string
}

// set returns a trouble's making that changes how lnd behaves.
func set(change func(*fakelnd.Behaviour)) func(*testing.T, *fakelnd.Lnd,
	*Config) {

	return func(_ *testing.T, lnd *fakelnd.Lnd, _ *Config) {
		lnd.Set(change)
	}
}

// bake returns a trouble's making that replaces the macaroon.
func bake(ops ...bakery.Op) func(*testing.T, *fakelnd.Lnd, *Config) {
	return func(t *testing.T, lnd *fakelnd.Lnd, _ *Config) {
		require.NoError(t, lnd.Bake(ops...))
	}
}

// otherCertificate puts the certificate of another server in place.
func otherCertificate(t *testing.T, _ *fakelnd.Lnd, cfg *Config) {
	other, err := fakelnd.Start(t.TempDir())
	require.NoError(t, err)
	other.Stop()
	cfg.TLSPath = other.TLSPath()
}

// file puts a file in place of the one at a path.
func file(t *testing.T, path, content string) {
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

// pipe returns the path of a pipe that nobody writes to.
func pipe(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))

	return path
}

// listener answers each connection with some bytes, and closes it.
func listener(t *testing.T, answer string) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, listener.Close()) })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(answer))
			_ = conn.Close()
		}
	}()

	return listener.Addr().String()
}

// unreachable are the troubles of certificate and address.
var unreachable = []trouble{
	{"no certificate", func(_ *testing.T, _ *fakelnd.Lnd, cfg *Config) {
		cfg.TLSPath += ".gone"
	}, states.LndUnreachable, true, "tls.cert.gone"},
	{"certificate is a directory", func(t *testing.T, _ *fakelnd.Lnd,
		cfg *Config) {

		cfg.TLSPath = filepath.Dir(cfg.TLSPath)
	}, states.LndUnreachable, true, "not a regular file"},
	{"certificate is a pipe", func(t *testing.T, _ *fakelnd.Lnd,
		cfg *Config) {

		cfg.TLSPath = pipe(t)
	}, states.LndUnreachable, true, "not a regular file"},
	{"certificate is garbage", func(t *testing.T, lnd *fakelnd.Lnd,
		_ *Config) {

		file(t, lnd.TLSPath(), "garbage")
	}, states.LndUnreachable, true, "PEM"},
	{"certificate is huge", func(t *testing.T, lnd *fakelnd.Lnd,
		_ *Config) {

		require.NoError(t, os.Truncate(
			lnd.TLSPath(), maxCredentialSize+1,
		))
	}, states.LndUnreachable, true, "larger than"},
	{"other certificate", otherCertificate, states.LndUnreachable, true,
		"--lnd.tlspath"},
	{"no TLS", func(t *testing.T, _ *fakelnd.Lnd, cfg *Config) {
		cfg.Host = listener(t, "HTTP/1.1 400 Bad Request\r\n\r\n")
	}, states.LndUnreachable, true, "--lnd.host"},
	{"hangs up", func(t *testing.T, _ *fakelnd.Lnd, cfg *Config) {
		cfg.Host = listener(t, "")
	}, states.LndDown, false, ""},
	{"no such name", func(_ *testing.T, _ *fakelnd.Lnd, cfg *Config) {
		cfg.Host = "no-such-host.invalid:10009"
	}, "", true, "no-such-host.invalid"},
	{"no address", func(_ *testing.T, _ *fakelnd.Lnd, cfg *Config) {
		cfg.Host = "https://localhost:10009"
	}, states.LndUnreachable, true, "https://localhost:10009"},
	{"no port", func(_ *testing.T, _ *fakelnd.Lnd, cfg *Config) {
		cfg.Host = "localhost:nowhere"
	}, states.LndUnreachable, true, "localhost:nowhere"},
	{"away", func(_ *testing.T, lnd *fakelnd.Lnd, _ *Config) {
		lnd.Stop()
	}, states.LndDown, false, "refused"},
}

// refusing are the troubles of the macaroon.
var refusing = []trouble{
	{"no macaroon", func(_ *testing.T, _ *fakelnd.Lnd, cfg *Config) {
		cfg.MacaroonPath += ".gone"
	}, states.LndRefuses, true, "admin.macaroon.gone"},
	{"macaroon is a pipe", func(t *testing.T, _ *fakelnd.Lnd,
		cfg *Config) {

		cfg.MacaroonPath = pipe(t)
	}, states.LndRefuses, true, "not a regular file"},
	{"macaroon is garbage", func(t *testing.T, lnd *fakelnd.Lnd,
		_ *Config) {

		file(t, lnd.MacaroonPath(), "garbage")
	}, states.LndRefuses, true, "does not accept"},
	{"macaroon is empty", func(t *testing.T, lnd *fakelnd.Lnd,
		_ *Config) {

		file(t, lnd.MacaroonPath(), "")
	}, states.LndRefuses, true, "does not accept"},
	{"revoked", func(_ *testing.T, lnd *fakelnd.Lnd, _ *Config) {
		lnd.Revoke()
	}, states.LndRefuses, true, "does not accept"},
	{"lacks info", bake(without("info", "read")...), states.LndRefuses,
		true, "admin.macaroon lacks info:read"},
	{"lacks onchain", bake(without("onchain", "read")...),
		states.LndRefuses, true, "admin.macaroon lacks onchain:read"},
	{"lacks signer", bake(without("signer", "generate")...),
		states.LndRefuses, true, "lacks signer:generate"},
	{"refused with a code", set(func(b *fakelnd.Behaviour) {
		b.Errors = map[string]error{
			"/verrpc.Versioner/GetVersion": status.Error(
				codes.PermissionDenied, "no",
			),
		}
	}), states.LndRefuses, true, "GetVersion"},
}

// unsuitable are the troubles of lnd itself.
var unsuitable = []trouble{
	{"other network", set(func(b *fakelnd.Behaviour) {
		b.Network = "mainnet"
	}), states.LndUnsuitable, true, "mainnet"},
	{"no network", set(func(b *fakelnd.Behaviour) {
		b.Network = ""
	}), states.LndUnsuitable, true, "regtest"},
	{"old", set(func(b *fakelnd.Behaviour) {
		b.Version = &verrpc.Version{Version: "0.18.3", AppMinor: 18,
			AppPatch: 3}
	}), states.LndUnsuitable, true, "0.18.3"},
	{"built without a part", set(func(b *fakelnd.Behaviour) {
		b.Version = &verrpc.Version{AppMinor: 21, BuildTags: []string{
			"signrpc",
		}}
	}), states.LndUnsuitable, true, "walletrpc"},
	{"without a method", set(func(b *fakelnd.Behaviour) {
		b.Errors = map[string]error{
			"/verrpc.Versioner/GetVersion": status.Error(
				codes.Unimplemented, "unknown service",
			),
		}
	}), states.LndUnsuitable, true, "GetVersion"},
	{"no lnd", set(func(b *fakelnd.Behaviour) {
		b.Errors = map[string]error{
			"/lnrpc.State/GetState": status.Error(
				codes.Unimplemented, "unknown service",
			),
		}
	}), states.LndUnsuitable, true, "no lnd"},
	{"no taproot account", set(func(b *fakelnd.Behaviour) {
		b.NoTaproot = true
	}), states.LndUnsuitable, true, "taproot"},
	{"other lnd", func(_ *testing.T, lnd *fakelnd.Lnd, cfg *Config) {
		first := lnd.Identity()
		cfg.Identity = &first
		lnd.Set(func(b *fakelnd.Behaviour) { b.Seed = "second" })
	}, states.WrongLnd, true, "instead of"},
}

// passing are the troubles that go by.
var passing = []trouble{
	{"locked", set(func(b *fakelnd.Behaviour) {
		b.State = lnrpc.WalletState_LOCKED
	}), states.LndLocked, false, ""},
	{"without a wallet", func(_ *testing.T, lnd *fakelnd.Lnd, cfg *Config) {
		cfg.MacaroonPath += ".gone"
		lnd.Set(func(b *fakelnd.Behaviour) {
			b.State = lnrpc.WalletState_NON_EXISTING
		})
	}, states.LndLocked, false, ""},
	{"starting", set(func(b *fakelnd.Behaviour) {
		b.State = lnrpc.WalletState_WAITING_TO_START
	}), states.Starting, false, "starting"},
	{"busy", set(func(b *fakelnd.Behaviour) {
		b.Errors = map[string]error{
			"/lnrpc.Lightning/GetInfo": status.Error(
				codes.Unavailable, "busy",
			),
		}
	}), states.LndDown, false, "GetInfo"},
	{"fails at one call", set(func(b *fakelnd.Behaviour) {
		b.Errors = map[string]error{
			"/lnrpc.Lightning/GetInfo": errors.New("disk I/O"),
		}
	}), "", false, "disk I/O"},
	{"hangs", func(_ *testing.T, lnd *fakelnd.Lnd, cfg *Config) {
		cfg.RPCTimeout = 100 * time.Millisecond
		lnd.Set(func(b *fakelnd.Behaviour) {
			b.Hangs = map[string]bool{
				"/lnrpc.Lightning/GetInfo": true,
			}
		})
	}, states.LndDown, false, "GetInfo"},
}

// troubles are all of them.
func troubles() []trouble {
	var all []trouble
	for _, some := range [][]trouble{
		unreachable, refusing, unsuitable, passing,
	} {
		all = append(all, some...)
	}

	return all
}

// TestTroubles checks that each way in which lnd cannot be used is told by its
// reason and what it is about, and whether somebody has to do something.
// Otherwise a user with a wrong path is told to start an lnd that runs.
func TestTroubles(t *testing.T) {
	for _, trouble := range troubles() {
		t.Run(trouble.name, func(t *testing.T) {
			lnd, cfg := startLnd(t)
			trouble.make(t, lnd, &cfg)
			err := newNode(t, cfg).Check(t.Context())
			require.Error(t, err)
			require.Contains(t, err.Error(), trouble.about)

			switch {
			case trouble.name == "no such name":
				// Without a name server it may pass.
				state := newNode(t, cfg)
				_ = state.Check(t.Context())
				require.Contains(t, []states.Reason{
					states.LndUnreachable, states.LndDown,
				}, state.State().Reason)

			case trouble.permanent:
				requirePermanent(
					t, err, trouble.reason, trouble.about,
				)

			case trouble.reason != "":
				requireTransient(t, err, trouble.reason)

			default:
				_, ok := states.PermanentReason(err)
				require.False(t, ok, "%v", err)
			}
		})
	}
}

// TestTroubleClears checks that nothing of a trouble is remembered: once it is
// gone the next look finds all well.
func TestTroubleClears(t *testing.T) {
	lnd, cfg := startLnd(t)
	node := newNode(t, cfg)
	require.NoError(t, node.Check(t.Context()))
	require.NoError(t, node.Probe(t.Context()))
	require.NoError(t, node.State().Err)

	lnd.Revoke()
	requirePermanent(
		t, node.Check(t.Context()), states.LndRefuses, "macaroon",
	)
	require.Equal(t, states.LndRefuses, node.State().Reason)
	require.True(t, node.State().Permanent)
	require.NoError(t, lnd.Bake(fakelnd.Everything()...))
	require.NoError(t, node.Check(t.Context()))

	require.NoError(t, lnd.RenewTLS())
	requirePermanent(
		t, node.Check(t.Context()), states.LndUnreachable, "--lnd.tls",
	)
	require.NoError(t, lnd.Restart())
	require.NoError(t, node.Check(t.Context()))
	require.NoError(t, node.State().Err)
}

// TestLetsIn checks what must not be taken for a refusal: less than the admin
// macaroon, permissions by the names of methods, a macaroon that only lnd can
// read, and an lnd that asks for none. The embedded daemon would start there.
func TestLetsIn(t *testing.T) {
	byName := []bakery.Op{{Entity: "info", Action: "read"}}
	for _, permission := range needed {
		for _, method := range permission.methods {
			byName = append(byName, bakery.Op{
				Entity: uriEntity, Action: method,
			})
		}
	}
	for name, make := range map[string]func(*testing.T, *fakelnd.Lnd,
		*Config){

		"less":    bake(without("offchain", "write")...),
		"by name": bake(byName...),
		"no macaroons": func(t *testing.T, lnd *fakelnd.Lnd,
			_ *Config) {

			file(t, lnd.MacaroonPath(), "anything")
			lnd.Set(func(b *fakelnd.Behaviour) {
				b.NoMacaroons = true
			})
		},
		"no macaroons, one for less": func(t *testing.T,
			lnd *fakelnd.Lnd, _ *Config) {

			require.NoError(t, lnd.Bake(
				without("onchain", "read")...,
			))
			lnd.Set(func(b *fakelnd.Behaviour) {
				b.NoMacaroons = true
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			lnd, cfg := startLnd(t)
			make(t, lnd, &cfg)
			require.NoError(t, newNode(t, cfg).Check(t.Context()))
		})
	}
}

// TestWarnsOnce checks that what will fail later is said, once.
func TestWarnsOnce(t *testing.T) {
	lines := captureLog(t)
	lnd, cfg := startLnd(t)
	require.NoError(t, lnd.Bake(without("offchain", "write")...))
	node := newNode(t, cfg)
	for range 3 {
		require.NoError(t, node.Check(t.Context()))
	}
	require.Len(t, lines.all(), 1)
	require.Contains(t, lines.all()[0], "lacks offchain:write")
}

// TestLooksLeaveNothing checks that looks that fail leave nothing open,
// whatever they fail at: two handles a second were leaked once, until none was
// left.
func TestLooksLeaveNothing(t *testing.T) {
	slow := map[string]bool{"hangs": true, "no such name": true}
	times := map[string]int{
		"away": 500, "no certificate": 500, "revoked": 200,
		"other certificate": 200,
	}
	for _, trouble := range troubles() {
		if slow[trouble.name] {
			continue
		}
		t.Run(trouble.name, func(t *testing.T) {
			lnd, cfg := startLnd(t)
			trouble.make(t, lnd, &cfg)
			node := newNode(t, cfg)
			leavesNothing(t, max(20, times[trouble.name]), func() {
				_, err := node.Dial(t.Context(), false)
				require.Error(t, err)
			})
		})
	}
}

// TestNetworks checks that a network that does not exist is refused at once.
func TestNetworks(t *testing.T) {
	_, err := New(Config{Network: "nonet"})
	require.Error(t, err)
	node, err := New(Config{Network: "mainnet"})
	require.NoError(t, err)
	require.Equal(t, defaultTLSPath, node.cfg.TLSPath)
	require.Equal(t, defaultRPCTimeout, node.cfg.RPCTimeout)
	require.Equal(t, "mainnet", node.Params().Name)
}
