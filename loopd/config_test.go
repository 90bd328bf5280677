package loopd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jessevdk/go-flags"
	upstream "github.com/lightninglabs/loop/loopd"
	"github.com/stretchr/testify/require"
)

// load reads a configuration file and arguments.
func load(t *testing.T, file string, args ...string) (*Config, error) {
	t.Helper()

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(
		filepath.Join(dir, configFilename), []byte(file), 0o600,
	))
	cfg, _, err := LoadConfig(append([]string{"--loopdir=" + dir}, args...))

	return cfg, err
}

// TestConfigOfUpstream checks that a configuration of upstream's loopd works as
// it is, groups included, and that ours has its defaults.
func TestConfigOfUpstream(t *testing.T) {
	cfg, err := load(t, `
network=regtest
maxl402cost=77
[lnd]
lnd.host=127.0.0.1:1
[server]
server.notls=true
[sqlite]
sqlite.skipmigrations=false
`)
	require.NoError(t, err)
	require.Equal(t, "regtest", cfg.Network)
	require.EqualValues(t, 77, cfg.MaxL402Cost)
	require.Equal(t, "127.0.0.1:1", cfg.Lnd.Host)
	require.True(t, cfg.Server.NoTLS)
	require.Equal(t, upstream.DefaultConfig().RPCListen, cfg.RPCListen)
	require.Equal(t, DefaultConfig().Recovery, cfg.Recovery)
}

// TestConfigCommandLineWins checks the order of upstream: the command line
// overrules the file.
func TestConfigCommandLineWins(t *testing.T) {
	cfg, err := load(t, `
network=testnet
[recovery]
recovery.lookahead=30
recovery.autorestore=off
`, "--network=regtest", "--recovery.lookahead=40")
	require.NoError(t, err)
	require.Equal(t, "regtest", cfg.Network)
	require.EqualValues(t, 40, cfg.Recovery.LookAhead)
	require.Equal(t, "off", cfg.Recovery.AutoRestore)
}

// TestConfigRefused checks that what makes no sense is refused at the start and
// not when it would matter.
func TestConfigRefused(t *testing.T) {
	for _, args := range [][]string{
		{"--recovery.lookahead=0"},
		{"--recovery.lookahead=100001"},
		{"--recovery.keymargin=1000001"},
		{"--recovery.keysearch=1000001"},
		{"--recovery.checkinterval=999ms"},
		{"--recovery.checkinterval=-1s"},
		{"--recovery.autorestore=maybe"},
		{"--recovery.autoscan=maybe"},
		{"--recovery.mincopies=1"},
		{"--recovery.backupdir="},
		{"--recovery.backupdir=relative/path"},
		// One directory holds one copy, however often it is named.
		{
			"--recovery.mincopies=2", "--recovery.backupdir=/d",
			"--recovery.backupdir=/d/",
		},
		{"--recovery.node.user=u", "--recovery.node.pass=p"},
		{"--recovery.node.cert=/c"},
		{"--recovery.node.host=h:1"},
		{"--recovery.node.host=h", "--recovery.node.cookie=/c"},
		{
			"--recovery.node.host=h:1", "--recovery.node.user=u",
			"--recovery.node.cookie=/c",
		},
		{"--configfile=/does/not/exist"},
		{"--nosuchoption"},
	} {
		_, err := load(t, "", args...)
		require.Error(t, err, "%v", args)
	}

	cfg, err := load(
		t, "", "--recovery.mincopies=1",
		"--recovery.backupdir=/a/../b", "--recovery.backupdir=/b/",
	)
	require.NoError(t, err)
	require.Equal(t, []string{"/b"}, cfg.Recovery.BackupDirs)

	cfg, err = load(t, "recovery.node.host=h:1\n"+
		"recovery.node.cookie=/a/../.cookie\n")
	require.NoError(t, err)
	require.Equal(t, NodeConfig{
		Host: "h:1", Cookie: "/.cookie",
	}, cfg.Recovery.Node)
}

// TestConfigFileOdd checks that what a file cannot ask for is an error that
// names it, as with upstream, and never a panic.
func TestConfigFileOdd(t *testing.T) {
	for _, line := range []string{
		"help=true", "help", "h=true", "nosuch=1", "view=true",
		"network=nowhere", "lnd.rpctimeout=soon", "[nosuch]\nx=1",
		"recovery.autorestore=maybe", "recovery.lookahead=-1",
		"rpclisten", "=", "[", "maxl402cost=\"x",
	} {
		var ours, upstreams error
		require.NotPanics(t, func() {
			_, ours = load(t, line)
			upstreams = loadUpstream(t, line)
		}, line)
		if errors.Is(ours, errExit) {
			ours = nil
		}
		if !strings.Contains(line, "recovery.") {
			require.Equal(t, upstreams == nil, ours == nil,
				"%q: %v, upstream %v", line, ours, upstreams)
		} else {
			require.Error(t, ours, line)
		}
	}
}

// loadUpstream reads a file as upstream does.
func loadUpstream(t *testing.T, file string) error {
	t.Helper()

	path := filepath.Join(t.TempDir(), configFilename)
	require.NoError(t, os.WriteFile(path, []byte(file), 0o600))
	cfg := upstream.DefaultConfig()

	return flags.IniParse(path, &cfg)
}

// TestConfigAsked checks that what only asks for something ends well, on the
// command line and, for the version, in the file.
func TestConfigAsked(t *testing.T) {
	for file, args := range map[string][]string{
		"":             {"--help"},
		"\n":           {"--version"},
		"version=true": nil,
	} {
		_, err := load(t, file, args...)
		require.ErrorIs(t, err, errExit)
	}
	require.NoError(t, Main([]string{"--help"}))
}

// TestConfigLists checks that an option that can be given several times is
// taken from the command line whole, if it is there, else from the file.
func TestConfigLists(t *testing.T) {
	file := "tlsextraip=1.1.1.1\ntlsextraip=2.2.2.2"
	cfg, err := load(t, file)
	require.NoError(t, err)
	require.Equal(t, []string{"1.1.1.1", "2.2.2.2"}, cfg.TLSExtraIPs)

	cfg, err = load(t, file, "--tlsextraip=3.3.3.3")
	require.NoError(t, err)
	require.Equal(t, []string{"3.3.3.3"}, cfg.TLSExtraIPs)
}
