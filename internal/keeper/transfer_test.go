package keeper

import (
	"testing"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/stretchr/testify/require"
)

// exported returns the bytes of a generation's backup in a format.
func (s *scene) exported(content *backup.Content,
	format backup.Format) []byte {

	path := s.world.Backups.Put(twin.DataDir, content)
	entry, err := s.keeper.Judge(s.Context(), path)
	require.NoError(s, err)
	name, data, err := s.keeper.Export(s.Context(), entry, format)
	require.NoError(s, err)
	_, _, ok := backup.ParseName(name)
	require.True(s, ok)
	s.world.Disk.Lose(path)

	return data
}

// TestTransfer checks that what is exported can be imported, in both formats,
// and is in every place then.
func TestTransfer(t *testing.T) {
	for _, format := range []backup.Format{backup.Native, backup.Legacy} {
		run(t, func(s *scene) {
			content := s.world.NewContent("alice", 0)
			data := s.exported(content, format)
			for range 2 {
				report, err := s.keeper.Import(
					s.Context(), data, content,
				)
				require.NoError(s, err)
				require.Len(s, report.Places, 2)
			}
			require.Len(s, s.copies(twin.DataDir), 1)
			require.Len(s, s.copies(twin.SecondDir), 1)
			entries, err := s.keeper.List(s.Context())
			require.NoError(s, err)
			for _, entry := range entries {
				require.Equal(s, backup.OK, entry.Verdict)
				require.Equal(s, backup.Native, entry.Format)
			}
		})
	}
}

// TestImportConflict checks that a contradiction is refused wherever it lies,
// and nothing written.
func TestImportConflict(t *testing.T) {
	for _, place := range []string{twin.DataDir, twin.SecondDir} {
		run(t, func(s *scene) {
			content := s.world.NewContent("alice", 0)
			data := s.exported(content, backup.Native)
			other := *content
			other.Address = s.world.NewContent("bob", 1).Address
			path := s.world.Backups.Put(place, &other)

			_, err := s.keeper.Import(s.Context(), data, content)
			var conflict *backup.ConflictError
			require.ErrorAs(s, err, &conflict)
			require.Equal(s, path, conflict.Path)
			require.Len(s, s.world.Disk.Files(), 1)
		})
	}
}

// TestImportHanging checks that an import reports a place that hangs, and does
// the others.
func TestImportHanging(t *testing.T) {
	run(t, func(s *scene) {
		content := s.world.NewContent("alice", 0)
		data := s.exported(content, backup.Native)
		s.files.Hang(twin.SecondDir)
		report, err := s.keeper.Import(s.Context(), data, content)
		require.NoError(s, err)
		require.Equal(s, backup.Written, report.Places[0].Status)
		require.Equal(s, Silence, report.Places[1].Status)
		s.files.Return(twin.SecondDir)
	})
}

// TestAcceptedConflict checks that a pair which a person accepted is not
// written where a valid backup contradicts it.
func TestAcceptedConflict(t *testing.T) {
	run(t, func(s *scene) {
		content := s.world.NewContent("alice", 0)
		other := *content
		other.Address = s.world.NewContent("bob", 1).Address
		s.world.Backups.Put(twin.SecondDir, &other)
		s.place(content)
		s.keeper.prove(s.Context(), pairID(content), Accepted)

		err := s.keeper.Protect(s.Context(), 1)
		var conflict *backup.ConflictError
		require.ErrorAs(s, err, &conflict)
		require.Len(s, s.copies(twin.SecondDir), 1)
		require.Len(s, s.copies(twin.DataDir), 1)
	})
}
