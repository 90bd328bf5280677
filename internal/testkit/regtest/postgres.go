package regtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/lightninglabs/loop/loopdb"
)

const (
	// postgresUser is the superuser of a server here. It needs no password:
	// the server listens on 127.0.0.1 only.
	postgresUser = "loop"

	// postgresInit is the program that makes a data directory.
	postgresInit = "initdb"

	// postgresServer is the server's program.
	postgresServer = "postgres"

	// ownerSession is the name that loopd gives the session with its lock.
	ownerSession = "loopd owner"
)

// postgresPlaces are where PostgreSQL is when it is not in PATH: Debian's
// packages, Red Hat's, the defaults of a build from source and of Homebrew.
var postgresPlaces = []string{
	"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin",
	"/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
}

// unprivileged are the users that a server runs as if we are root, which it
// refuses to be.
var unprivileged = []string{"postgres", "nobody"}

// ErrNoPostgres means that no PostgreSQL server is installed.
var ErrNoPostgres = errors.New("no PostgreSQL server was found; install " +
	"one (Debian: apt-get install postgresql) or put its initdb and " +
	"postgres into PATH")

// findPostgres returns the directory of the server's programs, the newest one
// if there are several, or ErrNoPostgres.
func findPostgres() (string, error) {
	var dirs []string
	for _, place := range postgresPlaces {
		found, err := filepath.Glob(place)
		if err != nil {
			return "", err
		}
		slices.SortFunc(found, newerFirst)
		dirs = append(dirs, found...)
	}
	dirs = append(filepath.SplitList(os.Getenv("PATH")), dirs...)

	for _, dir := range dirs {
		if isProgram(dir, postgresInit) &&
			isProgram(dir, postgresServer) {

			return dir, nil
		}
	}

	return "", ErrNoPostgres
}

// versionPattern finds the version in a path.
var versionPattern = regexp.MustCompile(`[0-9]+(\.[0-9]+)?`)

// newerFirst orders paths by the version in them, descending.
func newerFirst(a, b string) int {
	return cmp.Compare(pathVersion(b), pathVersion(a))
}

// pathVersion returns the version in a path, or 0.
func pathVersion(path string) float64 {
	version, err := strconv.ParseFloat(versionPattern.FindString(path), 64)
	if err != nil {
		return 0
	}

	return version
}

// isProgram reports whether a directory holds a program.
func isProgram(dir, name string) bool {
	info, err := os.Stat(filepath.Join(dir, name))

	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// Postgres is a PostgreSQL server with a data directory of its own.
type Postgres struct {
	process *process
	address string
	dir     string
}

// StartPostgres starts a server on a fresh directory in parent. If we are root
// it runs as an unprivileged user, who must be able to enter parent. It returns
// ErrNoPostgres if no server is installed. A server that cannot be started
// leaves nothing behind.
func StartPostgres(ctx context.Context, parent, logDir string) (*Postgres,
	error) {

	binDir, err := findPostgres()
	if err != nil {
		return nil, err
	}
	as, err := ordinaryUser()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "loop-postgres-*")
	if err != nil {
		return nil, err
	}

	p := &Postgres{
		dir: dir,
		process: newProcess(
			filepath.Base(dir),
			filepath.Join(binDir, postgresServer), logDir,
		),
	}
	p.process.dir, p.process.as = dir, as
	if err := p.create(ctx, binDir); err != nil {
		return nil, errors.Join(err, p.Destroy())
	}

	return p, nil
}

// create fills the directory and starts the server.
func (p *Postgres) create(ctx context.Context, binDir string) error {
	as := p.process.as
	if as != nil {
		err := os.Chown(p.dir, int(as.Uid), int(as.Gid))
		if err != nil {
			return err
		}
	}
	if err := initPostgres(ctx, binDir, p.dir, as); err != nil {
		return err
	}
	var err error
	if p.address, err = freeAddress(); err != nil {
		return err
	}

	return p.Start(ctx)
}

// ordinaryUser returns the user that a server runs as, nil for our own.
func ordinaryUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}

	var (
		found *user.User
		err   error
	)
	for _, name := range unprivileged {
		if found, err = user.Lookup(name); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("a user for PostgreSQL: %w", err)
	}
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	if err != nil {
		return nil, err
	}

	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// initPostgres makes a data directory.
func initPostgres(ctx context.Context, binDir, dir string,
	as *syscall.Credential) error {

	cmd := exec.CommandContext(ctx, filepath.Join(binDir, postgresInit),
		"--pgdata="+dir, "--username="+postgresUser, "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--no-sync")
	cmd.Dir = dir
	cmd.SysProcAttr = dieWithParent()
	cmd.SysProcAttr.Credential = as

	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := spawn(cmd); err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, output.String())
	}

	return nil
}

// Start starts a stopped server and waits until it answers. Nothing is synced
// to the disk.
func (p *Postgres) Start(ctx context.Context) error {
	_, port, err := net.SplitHostPort(p.address)
	if err != nil {
		return err
	}
	err = p.process.start(nil,
		"-D", p.dir, "-c", "listen_addresses=127.0.0.1",
		"-c", "port="+port, "-c", "unix_socket_directories=",
		"-c", "fsync=off", "-c", "full_page_writes=off",
		"-c", "max_connections=200",
	)
	if err != nil {
		return err
	}

	return Eventually(ctx, "PostgreSQL", DefaultTimeout,
		func(ctx context.Context) error {
			if err := p.process.alive(); err != nil {
				return err
			}

			return p.Exec(ctx, "postgres", "SELECT 1")
		})
}

// Stop ends the server without waiting for its clients. Stopping a stopped one
// is no error.
func (p *Postgres) Stop() error {
	return p.process.end(syscall.SIGINT)
}

// Running reports whether the server is running.
func (p *Postgres) Running() bool {
	return p.process.running()
}

// Destroy stops the server and removes its directory.
func (p *Postgres) Destroy() error {
	return errors.Join(p.Stop(), os.RemoveAll(p.dir))
}

// Dir is the data directory.
func (p *Postgres) Dir() string {
	return p.dir
}

// Config is the configuration with which loopd reaches a database of the
// server.
func (p *Postgres) Config(database string) (*loopdb.PostgresConfig, error) {
	host, port, err := net.SplitHostPort(p.address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}

	return &loopdb.PostgresConfig{
		Host: host, Port: number, User: postgresUser,
		Password: postgresUser, DBName: database,
		MaxOpenConnections: 10,
	}, nil
}

// Args are loopd's options for a database of the server.
func (p *Postgres) Args(database string) ([]string, error) {
	config, err := p.Config(database)
	if err != nil {
		return nil, err
	}

	return []string{
		"--databasebackend=postgres",
		"--postgres.host=" + config.Host,
		fmt.Sprintf("--postgres.port=%d", config.Port),
		"--postgres.user=" + config.User,
		"--postgres.password=" + config.Password,
		"--postgres.dbname=" + config.DBName,
		fmt.Sprintf("--postgres.maxconnections=%d",
			config.MaxOpenConnections),
	}, nil
}

// CreateDatabase makes an empty database. One of that name is removed first,
// with whoever uses it.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) error {
	quoted := pgx.Identifier{name}.Sanitize()
	err := p.Exec(ctx, "postgres",
		"DROP DATABASE IF EXISTS "+quoted+" WITH (FORCE)")
	if err != nil {
		return err
	}

	return p.Exec(ctx, "postgres", "CREATE DATABASE "+quoted)
}

// ownerQuery finds the session with which a loopd holds the lock on a database.
// A standby has a session of that name, too, but no lock.
const ownerQuery = `
	SELECT a.pid FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid
	WHERE a.datname = $1 AND a.application_name = $2
		AND l.locktype = 'advisory' AND l.granted`

// OwnerPID returns the process of the server that serves the session with which
// a loopd holds the lock on a database.
func (p *Postgres) OwnerPID(ctx context.Context, name string) (int, error) {
	conn, err := p.Connect(ctx, name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(ctx) }()

	var pid int
	err = conn.QueryRow(ctx, ownerQuery, name, ownerSession).Scan(&pid)
	if err != nil {
		return 0, fmt.Errorf("the owner of %s: %w", name, err)
	}

	return pid, nil
}

// TerminateOwner ends the session with which a loopd holds the lock on a
// database, as an administrator would.
func (p *Postgres) TerminateOwner(ctx context.Context, name string) error {
	pid, err := p.OwnerPID(ctx, name)
	if err != nil {
		return err
	}

	return p.Exec(ctx, name,
		fmt.Sprintf("SELECT pg_terminate_backend(%d)", pid))
}

// Connect opens a session on a database. The caller closes it.
func (p *Postgres) Connect(ctx context.Context, name string) (*pgx.Conn,
	error) {

	config, err := p.Config(name)
	if err != nil {
		return nil, err
	}

	return pgx.Connect(ctx, config.DSN(false))
}

// Exec runs one statement in a session of its own.
func (p *Postgres) Exec(ctx context.Context, name, statement string) error {
	conn, err := p.Connect(ctx, name)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)

	return errors.Join(err, conn.Close(ctx))
}
