package regtest

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/lightninglabs/loop/loopdb"
)

// SharedPostgres is one server for all tests of a package, which do not run in
// parallel. The zero value has none yet.
type SharedPostgres struct {
	server    *Postgres
	logs      string
	databases int
}

// Database returns the server, which the first call starts, and the
// configuration of a new and empty database on it.
func (s *SharedPostgres) Database(ctx context.Context) (*Postgres,
	*loopdb.PostgresConfig, error) {

	if s.server == nil {
		if err := s.start(); err != nil {
			return nil, nil, err
		}
	}
	s.databases++
	name := fmt.Sprintf("shared_%d", s.databases)
	if err := s.server.CreateDatabase(ctx, name); err != nil {
		return nil, nil, err
	}
	config, err := s.server.Config(name)

	return s.server, config, err
}

// start starts the server. It outlives the test that wanted it.
func (s *SharedPostgres) start() error {
	var err error
	if s.logs, err = os.MkdirTemp("", "postgres-logs"); err != nil {
		return err
	}
	s.server, err = StartPostgres(
		context.Background(), os.TempDir(), s.logs,
	)

	return err
}

// Main runs a package's tests, ends the server, and returns the exit code.
func (s *SharedPostgres) Main(tests func() int) int {
	code := tests()
	var err error
	if s.server != nil {
		err = s.server.Destroy()
	}
	if s.logs != "" {
		err = errors.Join(err, os.RemoveAll(s.logs))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)

		return 1
	}

	return code
}
