package main

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
)

// networks are the networks that upstream's `loop` accepts.
var networks = []string{
	"mainnet", "testnet", "testnet4", "regtest", "simnet", "signet",
}

// connection says where loopd is and which files are needed to talk to it.
type connection struct {
	// server is the address, host:port.
	server string

	// tlsCert and macaroon are paths.
	tlsCert, macaroon string
}

// flagValues yields the value of a string flag by its name.
type flagValues interface {
	String(name string) string
}

// newConnection reads the global flags as upstream's `loop` does: a directory
// or network other than the default moves the certificate and the macaroon
// there, unless their own flag says otherwise.
func newConnection(flags flagValues) (*connection, error) {
	network := strings.ToLower(flags.String(networkName))
	if !slices.Contains(networks, network) {
		return nil, &userError{
			code: exitUsage,
			what: fmt.Sprintf("There is no network %q.", network),

			untouched: "Nothing was sent to loopd.",
			next: "--network NETWORK, one of: " +
				strings.Join(networks, ", "),
		}
	}

	tlsCert := expandPath(flags.String(tlsCertPathName))
	macaroon := expandPath(flags.String(macaroonPathName))

	loopDir := expandPath(flags.String(loopDirName))
	if loopDir != defaultLoopDir || network != defaultNetwork {
		base := filepath.Join(loopDir, network)
		if flags.String(tlsCertPathName) == defaultTLSCertPath {
			tlsCert = filepath.Join(base, tlsCertName)
		}
		if flags.String(macaroonPathName) == defaultMacaroonPath {
			macaroon = filepath.Join(base, macaroonName)
		}
	}

	return &connection{
		server:   flags.String(rpcServerName),
		tlsCert:  tlsCert,
		macaroon: macaroon,
	}, nil
}

// expandPath puts the home directory in place of a leading "~" and the values
// of environment variables in place of their names, and cleans the path.
func expandPath(path string) string {
	if path == "" {
		return ""
	}

	if rest, ok := strings.CutPrefix(path, "~"); ok {
		home := os.Getenv("HOME")
		if current, err := user.Current(); err == nil {
			home = current.HomeDir
		}
		path = home + rest
	}

	return filepath.Clean(os.ExpandEnv(path))
}
