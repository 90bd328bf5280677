package keeper

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/stretchr/testify/require"
)

// A compile-time check of the port that the recoveries use.
var _ actions.Backups = (*Keeper)(nil)

// errDisk is an error of a disk.
var errDisk = errors.New("input/output error")

// troubled is a file system with places that hang or fail.
type troubled struct {
	durable.FS

	mu sync.Mutex

	// hung are the places on which no call returns, each with what ends
	// that; failing are those on which every call fails, and full those on
	// which only writing does.
	hung    map[string]chan struct{}
	failing map[string]error
	full    map[string]error

	// stuck counts the calls that have not returned.
	stuck int
}

// A compile-time check of what Publish prefers.
var _ durable.Renamer = (*troubled)(nil)

// newTroubled returns a file system without troubles.
func newTroubled(files durable.FS) *troubled {
	return &troubled{
		FS:      files,
		hung:    make(map[string]chan struct{}),
		failing: make(map[string]error),
		full:    make(map[string]error),
	}
}

// Hang makes every call in a place hang.
func (f *troubled) Hang(place string) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.hung[place] = make(chan struct{})
}

// Return lets all calls in a place return.
func (f *troubled) Return(place string) {
	f.mu.Lock()
	defer f.mu.Unlock()

	close(f.hung[place])
	delete(f.hung, place)
}

// Fail makes every call in a place fail, or none with a nil error.
func (f *troubled) Fail(place string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.failing[place] = err
}

// Fill makes every file that is written in a place fail, or none with a nil
// error.
func (f *troubled) Fill(place string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.full[place] = err
}

// Stuck returns the number of calls that have not returned.
func (f *troubled) Stuck() int {
	f.mu.Lock()
	defer f.mu.Unlock()

	return f.stuck
}

// pass is what every call goes through.
func (f *troubled) pass(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()

	for place, release := range f.hung {
		if strings.HasPrefix(path, place) {
			f.stuck++
			f.mu.Unlock()
			<-release
			f.mu.Lock()
			f.stuck--
		}
	}
	for place, err := range f.failing {
		if err != nil && strings.HasPrefix(path, place) {
			return &fs.PathError{Op: "call", Path: path, Err: err}
		}
	}

	return nil
}

// Identify implements Disk: every place is a directory and a disk of its own.
func (f *troubled) Identify(path string) (Identity, error) {
	if err := f.pass(path); err != nil {
		return Identity{}, err
	}
	if _, err := f.FS.ReadDir(path, backup.MaxNames); err != nil {
		return Identity{}, err
	}

	return Identity{}, nil
}

// ReadDir implements durable.FS.
func (f *troubled) ReadDir(path string, limit int) ([]fs.DirEntry, error) {
	if err := f.pass(path); err != nil {
		return nil, err
	}

	return f.FS.ReadDir(path, limit)
}

// CreateNew implements durable.FS.
func (f *troubled) CreateNew(path string, perm fs.FileMode) (durable.File,
	error) {

	if err := f.pass(path); err != nil {
		return nil, err
	}
	f.mu.Lock()
	err := f.full[filepath.Dir(path)]
	f.mu.Unlock()
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}

	return f.FS.CreateNew(path, perm)
}

// Open implements durable.FS.
func (f *troubled) Open(path string) (durable.Handle, error) {
	if err := f.pass(path); err != nil {
		return nil, err
	}

	return f.FS.Open(path)
}

// RenameNoReplace implements durable.Renamer.
func (f *troubled) RenameNoReplace(from, to string) error {
	renamer, ok := f.FS.(durable.Renamer)
	if !ok {
		return errors.ErrUnsupported
	}

	return renamer.RenameNoReplace(from, to)
}

// directories is a Disk that tests set.
type directories struct {
	mu    sync.Mutex
	known map[string]Identity
}

// set says what directory a path leads to.
func (d *directories) set(path string, identity Identity) {
	d.mu.Lock()
	defer d.mu.Unlock()

	if d.known == nil {
		d.known = make(map[string]Identity)
	}
	d.known[path] = identity
}

// Identify implements Disk.
func (d *directories) Identify(path string) (Identity, error) {
	d.mu.Lock()
	defer d.mu.Unlock()

	return d.known[path], nil
}

// scene is a keeper on a world in memory.
type scene struct {
	*testing.T

	world *twin.World
	files *troubled
	cfg   Config

	// keeper is the one at work, end ends it.
	keeper *Keeper
	end    context.CancelFunc
}

// run runs a test on a scene with a data directory and one further place, in a
// bubble whose clock moves when nothing else does.
func run(t *testing.T, test func(s *scene)) {
	t.Helper()

	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		test(s)
		s.end()
	})
}

// newScene returns a scene.
func newScene(t *testing.T) *scene {
	world := twin.NewWorld()
	deps := world.Deps()
	files := newTroubled(world.Disk)
	s := &scene{T: t, world: world, files: files, cfg: Config{
		Network: twin.Network,
		DataDir: twin.DataDir,
		Places:  []string{twin.SecondDir},
		Files:   files,
		Disk:    files,
		Memory:  NewRAM(),
		Keys: func(ctx context.Context) (backup.Keys, error) {
			return backup.DeriveKeys(ctx, world.Lnd)
		},
		Node:       deps.Node,
		Chain:      deps.Chain,
		Tokens:     generation.NewFiles(world.Disk, twin.DataDir),
		Rows:       deps.Rows,
		IndexBound: twin.IndexBound,
	}}
	s.restart()

	return s
}

// restart replaces the keeper, as a new process would.
func (s *scene) restart() {
	if s.end != nil {
		s.end()
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.end = cancel
	s.keeper = New(ctx, s.cfg)
}

// install puts a complete generation in place, and returns it.
func (s *scene) install(name string) *backup.Content {
	content := s.world.NewContent(name, 0)
	s.place(content)
	s.world.Chain.Mine(2)

	return content
}

// place puts a token and a row in place.
func (s *scene) place(content *backup.Content) {
	s.world.Tokens.Put(content.Token)
	s.putRow(content)
}

// putRow puts a row in place.
func (s *scene) putRow(content *backup.Content) {
	row, err := content.Address.Parameters()
	require.NoError(s, err)
	s.world.Rows.Put(row)
}

// copies returns the names of the backups in a place.
func (s *scene) copies(place string) []string {
	var names []string
	for path := range s.world.Disk.Files() {
		_, _, ok := backup.ParseName(filepath.Base(path))
		if ok && filepath.Dir(path) == place {
			names = append(names, path)
		}
	}

	return names
}

// within fails the test if something takes longer, by the bubble's clock.
func (s *scene) within(limit time.Duration, do func()) {
	s.Helper()

	began := time.Now()
	do()
	require.LessOrEqual(s, time.Since(began), limit)
}

// brokenMemory is a Memory on a database that cannot be used.
type brokenMemory struct{}

// Pair implements Memory.
func (brokenMemory) Pair(context.Context, PairID) (*Pair, error) {
	return nil, errDisk
}

// RecordPair implements Memory.
func (brokenMemory) RecordPair(context.Context, Pair) error {
	return errDisk
}

// MountRoot implements Memory.
func (brokenMemory) MountRoot(context.Context, string) (string, error) {
	return "", errDisk
}

// RecordMountRoot implements Memory.
func (brokenMemory) RecordMountRoot(context.Context, string, string) error {
	return errDisk
}
