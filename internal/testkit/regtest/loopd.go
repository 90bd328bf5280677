package regtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/lightninglabs/loop/looprpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
)

// The loopd programs in a directory of binaries.
const (
	// LoopdBinary is ours, as it is released.
	LoopdBinary = "loopd"

	// FailpointBinary is ours with the named crash points compiled in.
	FailpointBinary = "loopd-failpoint"

	// UpstreamBinary is upstream's own.
	UpstreamBinary = "loopd-upstream"

	// OldBinary and OldFailpointBinary are ours of an older version, which
	// directories are moved from.
	OldBinary          = "old/loopd"
	OldFailpointBinary = "old/loopd-failpoint"
)

// failpointVariable is the environment variable that tells FailpointBinary at
// which point to kill itself.
const failpointVariable = "LOOP_RECOVERY_FAILPOINT"

// watchVariable is the environment variable that tells FailpointBinary where to
// write how many goroutines it has.
const watchVariable = "LOOP_RECOVERY_WATCH"

// LoopdConfig says how a loopd is made. The zero value is our loopd on the
// client's lnd.
type LoopdConfig struct {
	// Name names the daemon's log and, unless Dir is set, its directory.
	// The default is "loopd".
	Name string

	// Binary is the program's name. The default is LoopdBinary.
	Binary string

	// Dir is the loop directory. The default is Name in the network's base
	// directory.
	Dir string

	// Lnd is the node to use. The default is the network's client.
	Lnd *Lnd

	// ExtraArgs are added to the command line, at every start.
	ExtraArgs []string
}

// Loopd is a loopd, running or stopped.
type Loopd struct {
	config  LoopdConfig
	binDir  string
	logDir  string
	server  *SwapServer
	process *process
	rpc     string
	rest    string
}

// newLoopd describes a daemon and chooses its ports.
func newLoopd(config LoopdConfig, binDir, baseDir, logDir string,
	server *SwapServer) (*Loopd, error) {

	if config.Name == "" {
		config.Name = "loopd"
	}
	if config.Binary == "" {
		config.Binary = LoopdBinary
	}
	if config.Dir == "" {
		config.Dir = filepath.Join(baseDir, config.Name)
	}
	l := &Loopd{
		config: config, binDir: binDir, logDir: logDir, server: server,
		process: newProcess(
			config.Name, filepath.Join(binDir, config.Binary),
			logDir,
		),
	}

	return l, freeAddresses(&l.rpc, &l.rest)
}

// Dir is the loop directory, which the daemon was given as --loopdir.
func (l *Loopd) Dir() string {
	return l.config.Dir
}

// DataDir is the network's directory below Dir, where everything is kept.
func (l *Loopd) DataDir() string {
	return filepath.Join(l.config.Dir, "regtest")
}

// TokenPath is the file of the paid token.
func (l *Loopd) TokenPath() string {
	return filepath.Join(l.DataDir(), "l402.token")
}

// TLSPath is the certificate of the daemon's servers.
func (l *Loopd) TLSPath() string {
	return filepath.Join(l.DataDir(), "tls.cert")
}

// MacaroonPath is the daemon's macaroon.
func (l *Loopd) MacaroonPath() string {
	return filepath.Join(l.DataDir(), "loop.macaroon")
}

// RPCAddress is where the gRPC server listens, as host:port.
func (l *Loopd) RPCAddress() string {
	return l.rpc
}

// RESTAddress is where the REST server listens, as host:port.
func (l *Loopd) RESTAddress() string {
	return l.rest
}

// LogPath is the file that the daemon's output goes to. Its own log files are
// in Dir.
func (l *Loopd) LogPath() string {
	return l.process.log
}

// Running reports whether the process is running.
func (l *Loopd) Running() bool {
	return l.process.running()
}

// SetBinary chooses the program of the next start, such as UpstreamBinary.
func (l *Loopd) SetBinary(binary string) {
	l.process.path = filepath.Join(l.binDir, binary)
}

// SetLnd chooses the node of the next start.
func (l *Loopd) SetLnd(lnd *Lnd) {
	l.config.Lnd = lnd
}

// Args returns the command line without the program's name.
func (l *Loopd) Args() []string {
	return append([]string{
		"--network=regtest", "--loopdir=" + l.config.Dir,
		"--rpclisten=" + l.rpc, "--restlisten=" + l.rest,
		"--lnd.host=" + l.config.Lnd.RPCAddress(),
		"--lnd.macaroonpath=" + l.config.Lnd.MacaroonPath(),
		"--lnd.tlspath=" + l.config.Lnd.TLSPath(),
		"--server.host=" + l.server.Address(),
		"--server.tlspath=" + l.server.TLSPath(),
		"--debuglevel=debug",
	}, l.config.ExtraArgs...)
}

// Launch starts the process and waits for nothing. Env is added to the
// environment, as NAME=VALUE, and args to the command line.
func (l *Loopd) Launch(env []string, args ...string) error {
	return l.process.start(env, append(l.Args(), args...)...)
}

// Start starts the process and waits until the embedded daemon answers.
func (l *Loopd) Start(ctx context.Context, args ...string) error {
	if err := l.Launch(nil, args...); err != nil {
		return err
	}

	return l.WaitReady(ctx)
}

// StartListening starts the process and waits until it accepts connections.
// Whether it answers calls, and how, is left open.
func (l *Loopd) StartListening(ctx context.Context, args ...string) error {
	if err := l.Launch(nil, args...); err != nil {
		return err
	}

	return l.WaitListening(ctx)
}

// LaunchWatched starts FailpointBinary, which writes the number of its
// goroutines to the file at path, once a second.
func (l *Loopd) LaunchWatched(path string, args ...string) error {
	l.SetBinary(FailpointBinary)

	return l.Launch([]string{watchVariable + "=" + path}, args...)
}

// ExitCode returns the exit code of a process that has ended, -1 otherwise.
func (l *Loopd) ExitCode() int {
	return l.process.exitCode()
}

// Pid returns the id of the process, 0 if it was never started.
func (l *Loopd) Pid() int {
	return l.process.pid()
}

// LaunchWithFailpoint starts a program with failpoints, such as
// FailpointBinary, which kills itself at the named point. See WaitKilled.
func (l *Loopd) LaunchWithFailpoint(binary, name string,
	args ...string) error {

	l.SetBinary(binary)

	return l.Launch([]string{failpointVariable + "=" + name}, args...)
}

// WaitKilled waits until a signal has ended the process. That it ended in any
// other way is an error.
func (l *Loopd) WaitKilled(timeout time.Duration) error {
	signalled, err := l.process.wait(timeout)
	if err != nil {
		return err
	}
	if !signalled {
		return fmt.Errorf("ended by itself: %w", l.process.alive())
	}

	return nil
}

// WaitExit waits until the process has ended by itself.
func (l *Loopd) WaitExit(timeout time.Duration) error {
	signalled, err := l.process.wait(timeout)
	if err == nil && signalled {
		err = fmt.Errorf("%s was ended by a signal", l.config.Name)
	}

	return err
}

// Stop ends the process in good order. Stopping a stopped one is no error.
func (l *Loopd) Stop() error {
	return l.process.stop()
}

// Kill ends the process with SIGKILL.
func (l *Loopd) Kill() error {
	return l.process.kill()
}

// WaitListening waits until a TLS connection to the gRPC server can be made.
func (l *Loopd) WaitListening(ctx context.Context) error {
	return Eventually(ctx, l.config.Name+" to listen", DefaultTimeout,
		func(ctx context.Context) error {
			if err := l.process.alive(); err != nil {
				return err
			}
			conn, err := l.dial(nil)
			if err != nil {
				return err
			}
			defer conn.Close()

			return connected(ctx, conn)
		})
}

// connected makes one attempt to connect.
func connected(ctx context.Context, conn *grpc.ClientConn) error {
	conn.Connect()
	for {
		state := conn.GetState()
		switch state {
		case connectivity.Ready:
			return nil

		case connectivity.TransientFailure, connectivity.Shutdown:
			return fmt.Errorf("connection: %v", state)
		}
		if !conn.WaitForStateChange(ctx, state) {
			return ctx.Err()
		}
	}
}

// WaitReady waits until the embedded daemon answers a call.
func (l *Loopd) WaitReady(ctx context.Context) error {
	return Eventually(ctx, l.config.Name+" to answer", DefaultTimeout,
		func(ctx context.Context) error {
			if err := l.process.alive(); err != nil {
				return err
			}
			conn, err := l.Dial()
			if err != nil {
				return err
			}
			defer conn.Close()

			_, err = looprpc.NewSwapClientClient(conn).GetInfo(
				ctx, &looprpc.GetInfoRequest{},
			)

			return err
		})
}

// Dial returns a connection with the daemon's macaroon. The caller closes it.
// Both the SwapClient and the Recovery service are served on it.
func (l *Loopd) Dial() (*grpc.ClientConn, error) {
	return l.DialWithMacaroon(l.MacaroonPath())
}

// DialWithMacaroon returns a connection with the macaroon in a file. The
// caller closes it.
func (l *Loopd) DialWithMacaroon(path string) (*grpc.ClientConn, error) {
	mac, err := readMacaroon(path)
	if err != nil {
		return nil, err
	}

	return l.dial(&mac)
}

// DialWithoutMacaroon returns a connection that authenticates nobody. The
// caller closes it.
func (l *Loopd) DialWithoutMacaroon() (*grpc.ClientConn, error) {
	return l.dial(nil)
}

// dial makes a connection, with a macaroon if there is one.
func (l *Loopd) dial(mac *macaroonCredential) (*grpc.ClientConn, error) {
	creds, err := credentials.NewClientTLSFromFile(l.TLSPath(), "")
	if err != nil {
		return nil, err
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(creds)}
	if mac != nil {
		options = append(options, grpc.WithPerRPCCredentials(*mac))
	}

	return grpc.NewClient(l.rpc, options...)
}

// Swap calls the daemon's SwapClient service on a connection of its own.
func (l *Loopd) Swap(call func(client looprpc.SwapClientClient) error) error {
	conn, err := l.Dial()
	if err != nil {
		return err
	}

	return errors.Join(call(looprpc.NewSwapClientClient(conn)),
		conn.Close())
}

// CLIResult is what a command line program left behind.
type CLIResult struct {
	// Stdout is what it wrote to its standard output.
	Stdout string

	// Stderr is what it wrote to its standard error.
	Stderr string

	// ExitCode is its exit code.
	ExitCode int
}

// Command describes a call of our loop against this daemon, with the flags
// that lead there in front of args. The caller runs it.
func (l *Loopd) Command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, filepath.Join(l.binDir, "loop"),
		append(l.CLIFlags(), args...)...)
}

// CLIFlags are the flags with which our loop and upstream's reach this daemon.
func (l *Loopd) CLIFlags() []string {
	return []string{
		"--network=regtest", "--rpcserver=" + l.rpc,
		"--loopdir=" + l.config.Dir,
	}
}

// CLI runs our loop against this daemon. That it exits with another code than
// 0 is no error.
func (l *Loopd) CLI(ctx context.Context, args ...string) (*CLIResult, error) {
	return l.CLIWithInput(ctx, nil, args...)
}

// CLIWithInput runs our loop against this daemon with a standard input.
func (l *Loopd) CLIWithInput(ctx context.Context, input io.Reader,
	args ...string) (*CLIResult, error) {

	var stdout, stderr bytes.Buffer
	cmd := l.Command(ctx, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, &stdout, &stderr

	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, fmt.Errorf("running loop: %w", err)
	}

	return &CLIResult{
		Stdout: stdout.String(), Stderr: stderr.String(),
		ExitCode: cmd.ProcessState.ExitCode(),
	}, nil
}

// Wipe removes the loop directory of a stopped daemon.
func (l *Loopd) Wipe() error {
	if l.Running() {
		return fmt.Errorf("%s is running", l.config.Name)
	}

	return os.RemoveAll(l.config.Dir)
}
