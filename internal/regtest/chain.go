package regtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// PreparedHeight is the height of a prepared chain: btcd accepts spends of
// taproot outputs after about 450 blocks only.
const PreparedHeight = 450

// Chain is a btcd data directory with PreparedHeight blocks, which networks
// copy so that each need not mine them again.
type Chain struct {
	dir string
}

// PrepareChain mines a chain with the btcd of binDir in dir, a directory that
// is left to the caller to remove.
func PrepareChain(ctx context.Context, binDir, dir string) (*Chain, error) {
	chain := &Chain{dir: filepath.Join(dir, "chain")}
	btcd, err := startBtcd(ctx, "btcd-prepare", binDir, chain.dir, dir)
	if err != nil {
		return nil, err
	}
	_, err = btcd.Mine(ctx, PreparedHeight)
	if err := errors.Join(err, btcd.stop()); err != nil {
		return nil, fmt.Errorf("preparing a chain: %w", err)
	}

	return chain, nil
}

// copyTo copies the chain to dir, which must not exist.
func (c *Chain) copyTo(dir string) error {
	return copyTree(filepath.Join(c.dir, "regtest"),
		filepath.Join(dir, "regtest"))
}

// copyTree copies the regular files and directories below from to to. Nothing
// may exist there.
func copyTree(from, to string) error {
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("copying to %s: it exists, or: %w", to, err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}

	return os.CopyFS(to, os.DirFS(from))
}
