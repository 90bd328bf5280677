package loopd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/jessevdk/go-flags"
	upstream "github.com/lightninglabs/loop/loopd"
	"github.com/lightningnetwork/lnd/lncfg"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/internal/keeper"
)

const (
	// configFilename is the name of upstream's configuration file.
	configFilename = "loopd.conf"

	// maxLookAhead bounds --recovery.lookahead, in scripts.
	maxLookAhead = 100_000

	// maxKeyMargin bounds --recovery.keymargin, in keys: each costs lnd a
	// few milliseconds and a write.
	maxKeyMargin = 1_000_000

	// maxKeySearch bounds --recovery.keysearch, in keys: a key takes some
	// 50 microseconds.
	maxKeySearch = 1_000_000

	// defaultCheckInterval is the default of --recovery.checkinterval, and
	// minCheckInterval its smallest value.
	defaultCheckInterval = 24 * time.Hour
	minCheckInterval     = time.Second
)

// Config is upstream's configuration, complete and unchanged, plus our own
// group.
type Config struct {
	upstream.Config

	// Recovery is the [recovery] group.
	Recovery RecoveryConfig `group:"recovery" namespace:"recovery"`
}

// RecoveryConfig is the [recovery] group of the configuration.
type RecoveryConfig struct {
	AutoRestore string `long:"autorestore" choice:"on" choice:"off" description:"Whether a fresh or half-lost data directory is restored from the newest matching backup before the swap client starts."`

	AutoScan string `long:"autoscan" choice:"on" choice:"off" description:"Whether the chain is searched in the background for what lnd's wallet may not see of the static address; without it deposits that lnd does not list stay unverified until loop recover rescan."`

	BackupDirs []string `long:"backupdir" description:"Another directory in which each backup is kept as well and looked for; can be given several times."`

	MinCopies uint32 `long:"mincopies" description:"In how many of the further backup directories a backup must be durable before a new address is handed out."`

	LookAhead uint32 `long:"lookahead" description:"The number of unused addresses beyond the last used one that a scan looks for in each key family."`

	CheckInterval time.Duration `long:"checkinterval" description:"How often every copy of every backup is read, decrypted and judged; 0 for never."`

	KeySearch uint32 `long:"keysearch" description:"The highest index at which the client key is looked for when a backup, one of the older format, does not tell it."`

	ExitOnPermanent bool `long:"exit_on_permanent" description:"End with the exit code 1, as upstream's loopd does, instead of waiting for somebody to change what keeps the swap client from starting; for supervisors."`

	Node NodeConfig `group:"recovery.node" namespace:"node"`

	KeyMargin uint32 `long:"keymargin" description:"The number of keys of the static address family that are skipped after a restore, since HTLC keys leave no trace to scan for."`
}

// NodeConfig says how the node that lnd uses can be asked directly.
type NodeConfig struct {
	Host string `long:"host" description:"The JSON-RPC interface, host:port, of the btcd or bitcoind that lnd uses. A scan reads compact filters and the few blocks that they do not rule out from it, instead of every block through lnd. bitcoind needs blockfilterindex=1 for that; btcd must not be started with --nocfilters. Without an index of filters the node is asked for the blocks."`

	User string `long:"user" description:"The node's rpcuser."`

	Pass string `long:"pass" description:"The node's rpcpass or rpcpassword."`

	Cookie string `long:"cookie" description:"The file in which bitcoind leaves user and password, instead of these."`

	Cert string `long:"cert" description:"The node's certificate: btcd's rpc.cert. Without it the connection is not encrypted, as bitcoind's is not."`
}

// validate checks the node's options and cleans their paths.
func (c *NodeConfig) validate() error {
	with := c.User != "" || c.Pass != "" || c.Cookie != "" || c.Cert != ""
	switch {
	case c.Host == "" && with:
		return errors.New("--recovery.node.host is missing, without " +
			"which the other options of --recovery.node have no " +
			"effect")

	case c.Host == "":
		return nil

	case (c.User != "" || c.Pass != "") == (c.Cookie != ""):
		return errors.New("--recovery.node needs either a user and a " +
			"password or a cookie")
	}
	if _, _, err := net.SplitHostPort(c.Host); err != nil {
		return fmt.Errorf("--recovery.node.host: %w", err)
	}
	if c.Cookie != "" {
		c.Cookie = lncfg.CleanAndExpandPath(c.Cookie)
	}
	if c.Cert != "" {
		c.Cert = lncfg.CleanAndExpandPath(c.Cert)
	}

	return nil
}

// DefaultConfig returns upstream's defaults and ours.
func DefaultConfig() Config {
	return Config{
		Config: upstream.DefaultConfig(),
		Recovery: RecoveryConfig{
			AutoRestore:   "on",
			AutoScan:      "on",
			LookAhead:     chainscan.DefaultLookAhead,
			CheckInterval: defaultCheckInterval,
			KeySearch:     actions.DefaultIndexBound,
			KeyMargin:     actions.DefaultKeyMargin,
		},
	}
}

// errExit is returned by LoadConfig if the process has said what it was asked
// for, such as its version, and should end well.
var errExit = errors.New("nothing more to do")

// LoadConfig reads the command line and the configuration file in upstream's
// order: the command line wins. It does not create anything yet.
func LoadConfig(args []string) (*Config, *flags.Parser, error) {
	cfg := DefaultConfig()
	parser := flags.NewParser(&cfg, flags.Default)
	parser.SubcommandsOptional = true

	_, err := parser.ParseArgs(args)
	var flagsErr *flags.Error
	if errors.As(err, &flagsErr) && flagsErr.Type == flags.ErrHelp {
		return nil, nil, errExit
	}
	if err != nil {
		return nil, nil, err
	}

	// The file has a parser of its own, as upstream's has: the one of the
	// command line knows --help by now, which no file can ask for.
	path, explicit := configPath(&cfg)
	file := flags.NewParser(&cfg, flags.None)
	err = flags.NewIniParser(file).ParseFile(path)
	if err != nil && (explicit || !errors.Is(err, os.ErrNotExist)) {
		return nil, nil, err
	}

	// The file must not overrule the command line.
	if _, err := parser.ParseArgs(args); err != nil {
		return nil, nil, err
	}

	if cfg.ShowVersion {
		fmt.Println("loopd version", Version())
		return nil, nil, errExit
	}

	return &cfg, parser, cfg.Recovery.validate()
}

// configPath returns the path of the configuration file, and whether the user
// named it. It follows upstream's rules.
func configPath(cfg *Config) (string, bool) {
	loopDir := lncfg.CleanAndExpandPath(cfg.LoopDir)

	switch {
	case cfg.ConfigFile != upstream.DefaultConfig().ConfigFile:
		return lncfg.CleanAndExpandPath(cfg.ConfigFile), true

	case loopDir != upstream.LoopDirBase:
		return filepath.Join(loopDir, configFilename), false

	default:
		return filepath.Join(loopDir, cfg.Network, configFilename),
			false
	}
}

// validate checks our own group and cleans its paths.
func (c *RecoveryConfig) validate() error {
	if c.LookAhead == 0 || c.LookAhead > maxLookAhead {
		return fmt.Errorf("--recovery.lookahead must be between 1 "+
			"and %d", maxLookAhead)
	}
	if c.KeyMargin > maxKeyMargin {
		return fmt.Errorf("--recovery.keymargin must be at most %d",
			maxKeyMargin)
	}
	if c.KeySearch > maxKeySearch {
		return fmt.Errorf("--recovery.keysearch must be at most %d",
			maxKeySearch)
	}
	if c.CheckInterval != 0 && c.CheckInterval < minCheckInterval {
		return fmt.Errorf("--recovery.checkinterval must be 0 or at "+
			"least %v", minCheckInterval)
	}
	if err := c.Node.validate(); err != nil {
		return err
	}

	return c.validatePlaces()
}

// validatePlaces cleans the backup places, each of which counts once.
func (c *RecoveryConfig) validatePlaces() error {
	dirs := make([]string, len(c.BackupDirs))
	for i, dir := range c.BackupDirs {
		// An empty path would be cleaned to the working directory.
		if dir != "" {
			dirs[i] = lncfg.CleanAndExpandPath(dir)
		}
	}

	places, err := keeper.CleanPlaces(dirs)
	if err != nil {
		return fmt.Errorf("--recovery.backupdir: %w", err)
	}
	c.BackupDirs = places
	if int(c.MinCopies) > len(places) {
		return fmt.Errorf("--recovery.mincopies asks for %d copies, "+
			"but %d further backup directories are given",
			c.MinCopies, len(places))
	}

	return nil
}
