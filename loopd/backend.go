package loopd

import (
	"context"
	"errors"
	"time"

	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/chainscan/btcrpc"
)

// backendProbe bounds the question whether the node that lnd uses gives
// filters.
const backendProbe = 10 * time.Second

// newBackend returns the node that lnd uses, or nil if the configuration does
// not name it, or names a certificate that is none: then blocks are read
// through lnd, for a scan that is slow keeps nobody's swaps down. It makes no
// connection.
func newBackend(cfg *Config) *btcrpc.Source {
	node := cfg.Recovery.Node
	if node.Host == "" {
		return nil
	}

	backend, err := btcrpc.New(btcrpc.Config{
		Host:       node.Host,
		User:       node.User,
		Password:   node.Pass,
		CookiePath: node.Cookie,
		CertPath:   node.Cert,
	})
	if err != nil {
		log.Errorf("--recovery.node is not used until loopd is "+
			"started with another one: %v", err)

		return nil
	}

	return backend
}

// backendSources asks the node that lnd uses what it can give to a scan, and
// says in the log what the scan reads, and why. A node that does not answer is
// asked again in the scan, which reads through lnd meanwhile.
func (d *Daemon) backendSources(ctx context.Context) ([]chainscan.BlockSource,
	[]chainscan.FilterSource) {

	if d.backend == nil {
		log.Infof("The scan reads every block through lnd. A " +
			"sixtieth of that is enough if --recovery.node.host " +
			"names the btcd or bitcoind that lnd uses")

		return nil, nil
	}

	ctx, cancel := context.WithTimeout(ctx, backendProbe)
	defer cancel()

	err := d.backend.Probe(ctx)
	blocks := []chainscan.BlockSource{d.backend}
	switch {
	case err == nil:
		log.Infof("The scan reads the filters of %s, and blocks from "+
			"there and from lnd", d.backend.Name())

	case errors.Is(err, btcrpc.ErrNoFilters):
		log.Warnf("The scan reads every block from %s, since it has "+
			"no filters: bitcoind needs blockfilterindex=1, and "+
			"btcd must not be started with --nocfilters (%v)",
			d.backend.Name(), err)

		return blocks, nil

	default:
		log.Warnf("The scan reads every block through lnd until %s "+
			"answers: %v", d.backend.Name(), err)
	}

	return blocks, []chainscan.FilterSource{d.backend}
}
