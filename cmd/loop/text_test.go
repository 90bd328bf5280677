package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/lightninglabs/lndclient"
	"github.com/lightningnetwork/lnd/lncfg"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// hostile is text that takes over a terminal if it is printed as it is: a
// colour, a window's title, a line drawn over, a C1 control, marks that change
// the direction of text and hide it, and invalid UTF-8.
const hostile = "\x1b[31m\x1b]0;title\x07\r\n\b\x7f\u009b31m\u202e\u2066" +
	"\u200b\ufeff\U000e0041"

// poison puts hostile text into every string of a message, and one element
// into every list.
func poison(message protoreflect.Message) {
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		switch {
		case field.IsList():
			list := message.Mutable(field).List()
			if field.Message() != nil {
				poison(list.AppendMutable().Message())
			} else if field.Kind() == protoreflect.StringKind {
				list.Append(protoreflect.ValueOfString(hostile))
			}

		case field.Message() != nil:
			name := field.Message().FullName()
			if name != "google.protobuf.Timestamp" {
				poison(message.Mutable(field).Message())
			}

		case field.Kind() == protoreflect.StringKind:
			message.Set(field, protoreflect.ValueOfString(hostile))
		}
	}
}

// requireHarmless checks that a text holds no character that a terminal obeys
// but the line feed.
func requireHarmless(t *testing.T, text string) {
	t.Helper()

	require.NotEmpty(t, text)
	for _, r := range text {
		require.True(t, r == '\n' || unicode.IsPrint(r), "%q", text)
	}
}

// TestHostileText checks that no text from elsewhere reaches the terminal
// uncleaned, through any command.
func TestHostileText(t *testing.T) {
	response := &recoveryrpc.GetRecoveryResponse{}
	poison(response.ProtoReflect())
	listed := &recoveryrpc.ListBackupsResponse{}
	poison(listed.ProtoReflect())
	run := response.Run
	run.Finished = true
	run.Summary = `{"outputs":[{"outpoint":"\u001b[2J","spend_txid":` +
		`"\u009b2J"}]}`
	event := &recoveryrpc.Event{}
	poison(event.ProtoReflect())
	event.Seq = 1

	d := startDaemon(t, &testServer{
		get: func(string) (*recoveryrpc.GetRecoveryResponse, error) {
			return response, nil
		},
		backups: func() *recoveryrpc.ListBackupsResponse {
			return listed
		},
		list: func(uint32) []*recoveryrpc.Run {
			return []*recoveryrpc.Run{run}
		},
		cancel: func(string) (*recoveryrpc.Run, error) {
			return nil, recoveryrpc.StatusError(hostile, hostile)
		},
		resume: func(string) (*recoveryrpc.Run, error) {
			return run, nil
		},
		subscribe: func(_ *subscription, to stream) error {
			return to.Send(&recoveryrpc.RecoveryUpdate{
				Run: run, Event: event,
			})
		},
	})

	show := func(line string) {
		got := d.loop(t, strings.Fields(line)...)
		requireHarmless(t, got.out+got.err)
	}
	for _, line := range []string{
		"recover list", "recover list --json", "backup list",
		"backup list --json", "backup verify", "recover cancel",
		"recover resume --json", "recover status --json",
	} {
		show(line)
	}

	for _, state := range []states.State{
		hostile, states.Reconciled, states.Blocked, states.Cancelled,
		states.ScanDeposits,
	} {
		run.State = string(state)
		show("recover status")
	}
	for _, kind := range []states.Event{
		hostile, states.Begin, states.Done, states.Reorged,
		states.Block, states.Resume, states.Cancel,
	} {
		event.Event = string(kind)
		show("recover status --watch")
	}
}

// TestClean checks that ordinary text is left as it is, and that a long text
// is cut.
func TestClean(t *testing.T) {
	for _, text := range []string{
		"", "a b", "/home/ünï/ファイル.lrb", `back\slash "quote"`,
	} {
		require.Equal(t, text, clean(text))
	}
	require.Equal(t, `\xff\x1b[31m\n\u202e`, clean("\xff\x1b[31m\n\u202e"))

	long := clean(strings.Repeat("x", maxText+1))
	require.Equal(t, strings.Repeat("x", maxText)+"...", long)
}

// TestExpandPath checks that a path means the same as to upstream's `loop`.
func TestExpandPath(t *testing.T) {
	t.Setenv("LOOP_TEST_DIR", "/some/where")
	for _, path := range []string{
		"", "~", "~/x", "~x", "a/../b", "$LOOP_TEST_DIR/x",
		"${LOOP_TEST_DIR}", "/a//b/", "x~", "$LOOP_TEST_UNSET/x",
	} {
		require.Equal(t, lncfg.CleanAndExpandPath(path),
			expandPath(path), path)
	}
}

// TestNetworks checks that the networks are upstream's.
func TestNetworks(t *testing.T) {
	for _, network := range networks {
		_, err := lndclient.Network(network).ChainParams()
		require.NoError(t, err)
	}
	for _, network := range []lndclient.Network{
		lndclient.NetworkMainnet, lndclient.NetworkTestnet,
		lndclient.NetworkTestnet4, lndclient.NetworkRegtest,
		lndclient.NetworkSimnet, lndclient.NetworkSignet,
	} {
		require.Contains(t, networks, string(network))
	}
}

// flagMap is a set of flags.
type flagMap map[string]string

// String implements flagValues with the defaults of the global flags.
func (m flagMap) String(name string) string {
	if value, ok := m[name]; ok {
		return value
	}

	return map[string]string{
		rpcServerName: defaultRPCServer, networkName: defaultNetwork,
		loopDirName:      defaultLoopDir,
		tlsCertPathName:  defaultTLSCertPath,
		macaroonPathName: defaultMacaroonPath,
	}[name]
}

// TestConnection checks which certificate and macaroon are used: those of the
// directory and network, unless their own flag says otherwise.
func TestConnection(t *testing.T) {
	home, err := os.UserHomeDir()
	require.NoError(t, err)

	tests := []struct {
		flags         flagMap
		cert, present string
	}{{
		flags:   flagMap{},
		cert:    defaultTLSCertPath,
		present: defaultMacaroonPath,
	}, {
		flags:   flagMap{networkName: "RegTest"},
		cert:    filepath.Join(defaultLoopDir, "regtest/tls.cert"),
		present: filepath.Join(defaultLoopDir, "regtest/loop.macaroon"),
	}, {
		flags:   flagMap{loopDirName: "~/l"},
		cert:    filepath.Join(home, "l/mainnet/tls.cert"),
		present: filepath.Join(home, "l/mainnet/loop.macaroon"),
	}, {
		flags: flagMap{
			loopDirName: "/l", networkName: "signet",
			tlsCertPathName: "~/c",
		},
		cert:    filepath.Join(home, "c"),
		present: "/l/signet/loop.macaroon",
	}, {
		flags:   flagMap{macaroonPathName: "/m"},
		cert:    defaultTLSCertPath,
		present: "/m",
	}}
	for _, test := range tests {
		got, err := newConnection(test.flags)
		require.NoError(t, err)
		require.Equal(t, &connection{
			server: defaultRPCServer, tlsCert: test.cert,
			macaroon: test.present,
		}, got)
	}
}

// TestEnvironment checks that the variables of upstream's `loop` lead to the
// daemon as its flags do.
func TestEnvironment(t *testing.T) {
	d := startDaemon(t, &testServer{
		get: func(string) (*recoveryrpc.GetRecoveryResponse, error) {
			return &recoveryrpc.GetRecoveryResponse{}, nil
		},
	})
	base := filepath.Join(d.dir, "regtest")
	t.Setenv("LOOPCLI_RPCSERVER", d.address)
	t.Setenv("LOOPCLI_NETWORK", "regtest")

	run := func() result {
		var out, stderr strings.Builder
		a := testApp(nil, nil)
		a.out, a.err = &out, &stderr
		args := []string{"loop", "recover", "status"}
		code := a.run(t.Context(), args)

		return result{code, out.String(), stderr.String()}
	}

	require.Equal(t, exitConnection, run().code)
	t.Setenv("LOOPCLI_TLSCERTPATH", filepath.Join(base, tlsCertName))
	t.Setenv("LOOPCLI_MACAROONPATH", filepath.Join(base, macaroonName))
	require.Equal(t, exitOK, run().code)

	t.Setenv("LOOPCLI_TLSCERTPATH", defaultTLSCertPath)
	t.Setenv("LOOPCLI_MACAROONPATH", defaultMacaroonPath)
	t.Setenv("LOOPCLI_LOOPDIR", d.dir)
	require.Equal(t, exitOK, run().code)
}

// TestNumbers checks how numbers are written for a person.
func TestNumbers(t *testing.T) {
	for number, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1_000: "1,000", -1_000: "-1,000",
		-999: "-999", 2_100_000_000_000_000: "2,100,000,000,000,000",
	} {
		require.Equal(t, want, group(number))
	}
	for seconds, want := range map[uint64]string{
		1: "1s", 59: "59s", 60: "1m00s", 3_599: "59m59s",
		3_600: "1h00m", 90_061: "25h01m",
	} {
		require.Equal(t, want, durationText(seconds))
	}
	require.Equal(t, "1 block", plural(1, "block"))
	require.Equal(t, "0 blocks", plural(0, "block"))
}

// TestShare checks that the part of a scan that is done stays between 0 and 1,
// whatever heights the daemon reports.
func TestShare(t *testing.T) {
	for _, test := range []struct {
		height, birthday, tip int32
		want                  float64
	}{
		{99, 100, 199, 0}, {149, 100, 199, 0.5}, {199, 100, 199, 1},
		{100, 100, 100, 1}, {250, 100, 199, 1}, {0, 100, 199, 0},
		{5, 100, 99, 0}, {0, 0, 0, 1},
		{-1 << 31, 1<<31 - 1, -1 << 31, 0},
	} {
		require.Equal(t, test.want, share(&recoveryrpc.Progress{
			Height: test.height, Birthday: test.birthday,
			Tip: test.tip,
		}))
	}
}

// TestManyOutputs checks that a wallet with very many deposits does not flood
// the screen, and that the person learns where the rest is.
func TestManyOutputs(t *testing.T) {
	run := &recoveryrpc.Run{
		State: string(states.Reconciled), Finished: true,
		Summary: `{"outputs":[` + strings.Repeat(
			`{"outpoint":"o","value_sat":1},`, maxRows+6) +
			`{"outpoint":"o","value_sat":1}]}`,
	}
	text := runText(run)
	require.Contains(t, text, "507 deposits, 507 unspent")
	require.Contains(t, text, "and 7 more")
	require.Equal(t, maxRows, strings.Count(text, "\n  o "))

	run.Summary = "{"
	require.Contains(t, runText(run), "--json")
}
