package main

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/urfave/cli/v3"
)

// The names of the global flags, as in upstream's `loop`.
const (
	rpcServerName    = "rpcserver"
	networkName      = "network"
	networkAlias     = "n"
	loopDirName      = "loopdir"
	tlsCertPathName  = "tlscertpath"
	macaroonPathName = "macaroonpath"
)

const (
	// defaultRPCServer is where upstream's loopd listens.
	defaultRPCServer = "localhost:11010"

	// defaultNetwork is the network that upstream's loopd runs on.
	defaultNetwork = "mainnet"

	// tlsCertName and macaroonName are the names under which loopd keeps
	// its certificate and its macaroon.
	tlsCertName  = "tls.cert"
	macaroonName = "loop.macaroon"
)

var (
	// defaultLoopDir is the directory of upstream's loopd.
	defaultLoopDir = btcutil.AppDataDir("loop", false)

	// defaultTLSCertPath and defaultMacaroonPath are the paths that hold
	// for the default directory and network.
	defaultTLSCertPath = filepath.Join(
		defaultLoopDir, defaultNetwork, tlsCertName,
	)
	defaultMacaroonPath = filepath.Join(
		defaultLoopDir, defaultNetwork, macaroonName,
	)
)

// isGlobalFlag reports whether there is a global flag of that name. All of
// them take a value.
func isGlobalFlag(name string) bool {
	return slices.Contains([]string{
		rpcServerName, networkName, networkAlias, loopDirName,
		tlsCertPathName, macaroonPathName,
	}, name)
}

// globalFlags returns the flags that may stand before or after a command.
func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name:    rpcServerName,
			Value:   defaultRPCServer,
			Usage:   "loopd daemon address host:port",
			Sources: cli.EnvVars("LOOPCLI_RPCSERVER"),
		},
		&cli.StringFlag{
			Name:    networkName,
			Aliases: []string{networkAlias},
			Value:   defaultNetwork,
			Usage: "the network loop is running on e.g. " +
				"mainnet, testnet, etc.",
			Sources: cli.EnvVars("LOOPCLI_NETWORK"),
		},
		pathFlag(
			loopDirName, "LOOPCLI_LOOPDIR", defaultLoopDir,
			"path to loop's base directory",
		),
		pathFlag(
			tlsCertPathName, "LOOPCLI_TLSCERTPATH",
			defaultTLSCertPath, "path to loop's TLS certificate",
		),
		pathFlag(
			macaroonPathName, "LOOPCLI_MACAROONPATH",
			defaultMacaroonPath, "path to macaroon file",
		),
	}
}

// pathFlag returns a global flag that holds a path. The help shows the default
// with "~" for the home directory.
func pathFlag(name, variable, value, usage string) cli.Flag {
	text := value
	if home, err := os.UserHomeDir(); err == nil {
		inside, err := filepath.Rel(home, value)
		if err == nil && filepath.IsLocal(inside) {
			text = filepath.Join("~", inside)
		}
	}

	return &cli.StringFlag{
		Name: name, Value: value, DefaultText: text, Usage: usage,
		Sources: cli.EnvVars(variable),
	}
}
