package regtest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/lightninglabs/lndclient"
	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"gopkg.in/macaroon.v2"
)

// walletPassword is the password of every lnd wallet here.
const walletPassword = "password"

// LndConfig says how an lnd is made.
type LndConfig struct {
	// Name names the node's directory and log. It is unique in a network.
	Name string

	// Words are the 24 words of the wallet. Empty means a fresh wallet.
	Words []string

	// RecoveryWindow is the look-ahead with which a wallet made from Words
	// looks for its own coins. 0 looks for none.
	RecoveryWindow int32

	// ExtraArgs are added to the command line, at every start.
	ExtraArgs []string
}

// Lnd is an lnd node, running or stopped.
type Lnd struct {
	config  LndConfig
	process *process
	dir     string
	rpc     string
	peer    string
	btcd    *Btcd
	words   []string

	mu   sync.Mutex
	conn *grpc.ClientConn
}

// newLnd makes a node's directory and chooses its ports. start starts it.
func newLnd(config LndConfig, binDir, baseDir, logDir string, btcd *Btcd) (
	*Lnd, error) {

	l := &Lnd{
		config: config,
		process: newProcess(
			config.Name, filepath.Join(binDir, "lnd"), logDir,
		),
		dir: filepath.Join(baseDir, config.Name), btcd: btcd,
	}
	if err := freeAddresses(&l.rpc, &l.peer); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return nil, err
	}

	return l, os.WriteFile(
		l.passwordPath(), []byte(walletPassword), 0o600,
	)
}

// passwordPath is the file that an unlocked start reads the password from.
func (l *Lnd) passwordPath() string {
	return filepath.Join(l.dir, "wallet.password")
}

// TLSPath is the certificate of the node's RPC server.
func (l *Lnd) TLSPath() string {
	return filepath.Join(l.dir, "tls.cert")
}

// TLSKeyPath is the key of the node's certificate.
func (l *Lnd) TLSKeyPath() string {
	return filepath.Join(l.dir, "tls.key")
}

// MacaroonPath is the macaroon that permits everything.
func (l *Lnd) MacaroonPath() string {
	return filepath.Join(l.dir, "data", "chain", "bitcoin", "regtest",
		"admin.macaroon")
}

// RPCAddress is where the node's RPC server listens, as host:port.
func (l *Lnd) RPCAddress() string {
	return l.rpc
}

// Dir is the node's directory.
func (l *Lnd) Dir() string {
	return l.dir
}

// Name is the node's name.
func (l *Lnd) Name() string {
	return l.config.Name
}

// Words returns the 24 words of the node's wallet.
func (l *Lnd) Words() []string {
	return l.words
}

// Running reports whether the node's process is running.
func (l *Lnd) Running() bool {
	return l.process.running()
}

// launch starts the process, which unlocks an existing wallet by itself unless
// it is to stay locked.
func (l *Lnd) launch(locked bool) error {
	args := []string{
		"--lnddir=" + l.dir, "--bitcoin.regtest", "--bitcoin.node=btcd",
		"--btcd.rpchost=" + l.btcd.rpc, "--btcd.rpcuser=" + btcdUser,
		"--btcd.rpcpass=" + btcdPassword,
		"--btcd.rpccert=" + l.btcd.certPath(),
		"--rpclisten=" + l.rpc, "--listen=" + l.peer, "--norest",
		"--nobootstrap", "--trickledelay=50",
		"--bitcoin.defaultchanconfs=1", "--maxpendingchannels=5",
		"--debuglevel=info,BTWL=debug",
	}
	if !locked {
		args = append(args,
			"--wallet-unlock-password-file="+l.passwordPath(),
			"--wallet-unlock-allow-create",
		)
	}

	return l.process.start(nil, append(args, l.config.ExtraArgs...)...)
}

// create starts the node for the first time, makes its wallet and waits until
// it has caught up with the chain.
func (l *Lnd) create(ctx context.Context) error {
	if err := l.launch(false); err != nil {
		return err
	}
	err := Eventually(ctx, l.config.Name+"'s wallet", DefaultTimeout,
		l.initWallet)
	if err != nil {
		return err
	}

	return l.WaitSynced(ctx)
}

// initWallet makes the wallet, from the configured words or from fresh ones.
func (l *Lnd) initWallet(ctx context.Context) error {
	if err := l.process.alive(); err != nil {
		return err
	}
	conn, err := l.dial(false)
	if err != nil {
		return err
	}
	defer conn.Close()

	unlocker := lnrpc.NewWalletUnlockerClient(conn)
	words := l.config.Words
	if len(words) == 0 {
		seed, err := unlocker.GenSeed(ctx, &lnrpc.GenSeedRequest{})
		if err != nil {
			return err
		}
		words = seed.CipherSeedMnemonic
	}
	_, err = unlocker.InitWallet(ctx, &lnrpc.InitWalletRequest{
		WalletPassword:     []byte(walletPassword),
		CipherSeedMnemonic: words,
		RecoveryWindow:     l.config.RecoveryWindow,
	})
	if err == nil {
		l.words = words
	}

	return err
}

// Start starts a stopped node on its own directory and waits until it has
// caught up with the chain.
func (l *Lnd) Start(ctx context.Context) error {
	if err := l.launch(false); err != nil {
		return err
	}

	return l.WaitSynced(ctx)
}

// StartLocked starts a stopped node and leaves its wallet locked. It returns
// when the node says that it is locked.
func (l *Lnd) StartLocked(ctx context.Context) error {
	if err := l.launch(true); err != nil {
		return err
	}

	return l.waitState(ctx, lnrpc.WalletState_LOCKED)
}

// Unlock unlocks a node started by StartLocked and waits until it has caught
// up with the chain.
func (l *Lnd) Unlock(ctx context.Context) error {
	conn, err := l.dial(false)
	if err != nil {
		return err
	}
	defer conn.Close()

	_, err = lnrpc.NewWalletUnlockerClient(conn).UnlockWallet(
		ctx, &lnrpc.UnlockWalletRequest{
			WalletPassword: []byte(walletPassword),
		},
	)
	if err != nil {
		return err
	}

	return l.WaitSynced(ctx)
}

// waitState waits until the node reports the wallet state.
func (l *Lnd) waitState(ctx context.Context, want lnrpc.WalletState) error {
	what := fmt.Sprintf("%s to be %v", l.config.Name, want)

	return Eventually(ctx, what, DefaultTimeout,
		func(ctx context.Context) error {
			if err := l.process.alive(); err != nil {
				return err
			}
			conn, err := l.dial(false)
			if err != nil {
				return err
			}
			defer conn.Close()

			state, err := lnrpc.NewStateClient(conn).GetState(
				ctx, &lnrpc.GetStateRequest{},
			)
			if err != nil {
				return err
			}
			if state.State != want {
				return fmt.Errorf("it is %v", state.State)
			}

			return nil
		})
}

// Stop ends the node in good order. Stopping a stopped node is no error.
func (l *Lnd) Stop() error {
	return errors.Join(l.disconnect(), l.process.stop())
}

// Kill ends the node with SIGKILL.
func (l *Lnd) Kill() error {
	return errors.Join(l.process.kill(), l.disconnect())
}

// Destroy ends the node with SIGKILL and removes its directory: all that is
// left of it are its words.
func (l *Lnd) Destroy() error {
	if err := l.Kill(); err != nil {
		return err
	}

	return os.RemoveAll(l.dir)
}

// Recreate destroys the node and makes another one in its place: the same
// address and directory, from the given words, or with a wallet of its own if
// there are none. It is what a container does that lost its volume.
func (l *Lnd) Recreate(ctx context.Context, words []string) error {
	if err := l.Destroy(); err != nil {
		return err
	}
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return err
	}
	err := os.WriteFile(l.passwordPath(), []byte(walletPassword), 0o600)
	if err != nil {
		return err
	}
	l.config.Words = words

	return l.create(ctx)
}

// disconnect closes our own connection to the node.
func (l *Lnd) disconnect() error {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.conn == nil {
		return nil
	}
	conn := l.conn
	l.conn = nil

	return conn.Close()
}

// dial makes a connection to the node's RPC server, with the admin macaroon or
// without any.
func (l *Lnd) dial(withMacaroon bool) (*grpc.ClientConn, error) {
	creds, err := credentials.NewClientTLSFromFile(l.TLSPath(), "")
	if err != nil {
		return nil, err
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(creds)}
	if withMacaroon {
		mac, err := readMacaroon(l.MacaroonPath())
		if err != nil {
			return nil, err
		}
		options = append(options, grpc.WithPerRPCCredentials(mac))
	}

	return grpc.NewClient(l.rpc, options...)
}

// Conn returns a connection with the admin macaroon, made at the first call
// and closed when the node is stopped.
func (l *Lnd) Conn() (*grpc.ClientConn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.conn != nil {
		return l.conn, nil
	}
	conn, err := l.dial(true)
	if err != nil {
		return nil, err
	}
	l.conn = conn

	return conn, nil
}

// RPC returns the node's main RPC service.
func (l *Lnd) RPC() (lnrpc.LightningClient, error) {
	conn, err := l.Conn()
	if err != nil {
		return nil, err
	}

	return lnrpc.NewLightningClient(conn), nil
}

// Services connects to the node as loopd does. The caller closes the result.
func (l *Lnd) Services(ctx context.Context) (*lndclient.GrpcLndServices,
	error) {

	return lndclient.NewLndServices(&lndclient.LndServicesConfig{
		LndAddress:            l.rpc,
		Network:               lndclient.NetworkRegtest,
		CustomMacaroonPath:    l.MacaroonPath(),
		TLSPath:               l.TLSPath(),
		CallerCtx:             ctx,
		BlockUntilChainSynced: true,
		BlockUntilUnlocked:    true,
	})
}

// macaroonCredential sends a macaroon with every call.
type macaroonCredential string

// A compile time check that macaroonCredential can be used for a connection.
var _ credentials.PerRPCCredentials = macaroonCredential("")

// readMacaroon reads a macaroon's file. One that is still being written is an
// error: a connection keeps the macaroon it was made with.
func readMacaroon(path string) (macaroonCredential, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var mac macaroon.Macaroon
	if err := mac.UnmarshalBinary(raw); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}

	return macaroonCredential(hex.EncodeToString(raw)), nil
}

// GetRequestMetadata returns the header of a call.
func (m macaroonCredential) GetRequestMetadata(context.Context, ...string) (
	map[string]string, error) {

	return map[string]string{"macaroon": string(m)}, nil
}

// RequireTransportSecurity keeps the macaroon off unencrypted connections.
func (m macaroonCredential) RequireTransportSecurity() bool {
	return true
}
