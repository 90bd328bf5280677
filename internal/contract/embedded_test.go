package contract

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/lightninglabs/lndclient"
	"github.com/lightninglabs/loop/loopd"
	"github.com/lightninglabs/loop/test"
	"github.com/lightningnetwork/lnd/build"
	"github.com/lightningnetwork/lnd/signal"
	"github.com/stretchr/testify/require"
)

// deadAddress is where nobody listens: upstream dials its server lazily.
const deadAddress = "127.0.0.1:1"

// patience bounds every wait of these tests.
const patience = 30 * time.Second

// config returns a configuration with which upstream's daemon starts on an lnd
// in memory, as our Validate would leave it.
func config(t *testing.T) *loopd.Config {
	t.Helper()

	cfg := loopd.DefaultConfig()
	cfg.Network = "testnet"
	cfg.LoopDir = t.TempDir()
	cfg.Server.Host = deadAddress
	cfg.Server.NoTLS = true
	require.NoError(t, loopd.Validate(&cfg))

	return &cfg
}

// TestMain sets up upstream's loggers once: without them its daemon
// dereferences nil, and they may not be set while one runs.
func TestMain(m *testing.M) {
	loopd.SetupLoggers(build.NewSubLoggerManager(), signal.Interceptor{})
	m.Run()
}

// newDaemon returns upstream's daemon as a subserver that was not started.
func newDaemon(t *testing.T, cfg *loopd.Config) *loopd.Daemon {
	t.Helper()

	return loopd.New(cfg, nil)
}

// start starts upstream's daemon as we do and stops it with the test.
func start(t *testing.T, cfg *loopd.Config) *loopd.Daemon {
	t.Helper()

	daemon := newDaemon(t, cfg)
	require.NoError(t, daemon.StartAsSubserver(newLnd(), false))
	t.Cleanup(func() {
		daemon.Stop()
		select {
		case <-daemon.ErrChan:
		case <-time.After(patience):
			t.Error("upstream's daemon did not stop")
		}
	})

	return daemon
}

// newLnd returns an lnd in memory in the type that upstream wants. What closes
// its connection is not exported; Close calls it without looking.
func newLnd() *lndclient.GrpcLndServices {
	services := &lndclient.GrpcLndServices{
		LndServices: test.NewMockLnd().LndServices,
	}
	field := reflect.ValueOf(services).Elem().FieldByName("cleanup")
	reflect.NewAt(
		field.Type(), unsafe.Pointer(field.UnsafeAddr()),
	).Elem().Set(reflect.ValueOf(func() {}))

	return services
}

// inDataDir returns the path of a file in the daemon's network directory.
func inDataDir(cfg *loopd.Config, name string) string {
	return filepath.Join(cfg.DataDir, name)
}
