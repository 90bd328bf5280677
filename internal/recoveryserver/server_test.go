package recoveryserver_test

import (
	"context"
	"path"
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/testkit/grpctest"
	"github.com/looprecovery/looprecovery/internal/testkit/service"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// testLimit bounds each test.
const testLimit = time.Minute

// scene is a service that is spoken to over gRPC.
type scene struct {
	*testing.T
	*service.Service

	client recoveryrpc.RecoveryClient
	ctx    context.Context
}

// newScene serves a service on a new world.
func newScene(t *testing.T) *scene {
	t.Helper()

	s := &scene{T: t, Service: service.New()}
	t.Cleanup(s.Stop)

	conn := grpctest.Serve(t, func(server *grpc.Server) {
		recoveryrpc.RegisterRecoveryServer(server, s.Server)
	})
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	t.Cleanup(cancel)
	s.client, s.ctx = recoveryrpc.NewRecoveryClient(conn), ctx

	return s
}

// refused checks that an error carries a reason, and returns what it is about.
func (s *scene) refused(err error, reason states.Reason) string {
	s.Helper()

	got, ok := recoveryrpc.ReasonOf(err)
	require.True(s, ok, "%v", err)
	require.Equal(s, reason, got)

	return recoveryrpc.DetailOf(err)
}

// file returns a backup of a generation as a client would send it.
func (s *scene) file(content *backup.Content) *recoveryrpc.BackupFile {
	s.Helper()

	name := s.World.Backups.Put(twin.SecondDir, content)
	data, ok := s.World.Disk.Read(name)
	require.True(s, ok)
	s.World.Backups.Remove(name)

	return &recoveryrpc.BackupFile{Name: path.Base(name), Content: data}
}

// lost returns a generation of this lnd that is paid to and not in place.
func (s *scene) lost(name string) *backup.Content {
	s.Helper()

	content := s.World.NewContent(name, 0)
	script, err := content.Address.PkScript(content.Address.ClientKey)
	require.NoError(s, err)
	s.World.Chain.Mine(1)
	s.World.Chain.Fund(script, 50_000)
	s.World.Chain.Mine(6)

	return content
}

// install puts a generation in place.
func (s *scene) install(content *backup.Content) {
	s.Helper()

	row, err := content.Address.Parameters()
	require.NoError(s, err)
	s.World.Tokens.Put(content.Token)
	s.World.Rows.Put(row)
}

// start begins a restore from a file.
func (s *scene) start(file *recoveryrpc.BackupFile) (*recoveryrpc.Run, error) {
	resp, err := s.client.StartRecovery(
		s.ctx, &recoveryrpc.StartRecoveryRequest{
			Choice: &recoveryrpc.StartRecoveryRequest_BackupFile{
				BackupFile: file,
			},
		},
	)

	return resp.GetRun(), err
}

// follow returns the run when it is at its end or needs a person.
func (s *scene) follow(id string) *recoveryrpc.Run {
	s.Helper()

	_, err := s.Engine.Wait(s.ctx, id)
	require.NoError(s, err)
	resp, err := s.client.GetRecovery(
		s.ctx, &recoveryrpc.GetRecoveryRequest{Id: id},
	)
	require.NoError(s, err)

	return resp.Run
}

// received returns the number of files below received/.
func (s *scene) received() int {
	count := 0
	for name := range s.World.Disk.Files() {
		if path.Dir(name) == path.Join(twin.DataDir, "received") {
			count++
		}
	}

	return count
}
