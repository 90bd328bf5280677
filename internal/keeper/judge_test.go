package keeper

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// entryOf returns a file in order with the contents of a generation.
func entryOf(content *backup.Content) *backup.Entry {
	copied := *content

	return &backup.Entry{Verdict: backup.OK, Content: &copied}
}

// TestJudgeKey checks that a file whose key this lnd does not derive is not in
// order, that an index which a file does not tell is found, and that an lnd
// which does not answer is no verdict.
func TestJudgeKey(t *testing.T) {
	run(t, func(s *scene) {
		const index = 30
		ctx := s.Context()
		content := s.world.NewContent("alice", index)
		entry := entryOf(content)
		require.NoError(s, s.keeper.checkKey(ctx, entry))
		require.Equal(s, backup.OK, entry.Verdict)

		older := *content
		older.IndexUnknown = true
		older.Address.ClientLocator.Index = 0
		entry = entryOf(&older)
		require.NoError(s, s.keeper.checkKey(ctx, entry))
		require.Equal(s, backup.OK, entry.Verdict)
		require.EqualValues(s, index,
			entry.Content.Address.ClientLocator.Index)

		for call, content := range map[string]*backup.Content{
			"node.DeriveKey": content, "node.Account": &older,
		} {
			s.world.SetHook(twin.FailAt(
				twin.Point{Call: call}, 1, errDisk,
			))
			entry = entryOf(content)
			err := s.keeper.checkKey(ctx, entry)
			require.ErrorIs(s, err, errDisk)
			require.Equal(s, backup.OK, entry.Verdict)
			s.world.SetHook(nil)
		}

		s.cfg.IndexBound = index - 1
		s.restart()
		entry = entryOf(&older)
		require.NoError(s, s.keeper.checkKey(ctx, entry))
		require.Equal(s, backup.KeyNotDerivable, entry.Verdict)
		require.Nil(s, entry.Content)

		s.world.Lnd.Replace("mallory")
		entry = entryOf(content)
		require.NoError(s, s.keeper.checkKey(ctx, entry))
		require.Equal(s, backup.KeyNotDerivable, entry.Verdict)

		// Another verdict stands, and lnd is not asked.
		corrupt := &backup.Entry{Verdict: backup.Corrupt}
		require.NoError(s, s.keeper.checkKey(ctx, corrupt))
		require.Equal(s, backup.Corrupt, corrupt.Verdict)
	})
}

// TestJudgeRemembers checks that a file which went bad tells when it was last
// in order, that it is warned of first, and that one which is gone is
// forgotten.
func TestJudgeRemembers(t *testing.T) {
	run(t, func(s *scene) {
		older := s.world.NewContent("bob", 1)
		s.world.Chain.Mine(1)
		content := s.install("alice")
		path := s.world.Backups.Put(twin.DataDir, content)
		s.world.Backups.Put(twin.SecondDir, older)
		for i := range 2 * maxNamed {
			name := backup.FileName(
				[32]byte{byte(i)}, older.TokenCreated,
			)
			s.world.Disk.Write(
				filepath.Join(twin.DataDir, name),
				[]byte("torn"),
			)
		}

		files, err := s.keeper.JudgeAll(s.Context())
		require.NoError(s, err)
		require.Equal(s, path, files[0].Path, "the newest first")
		good := files[0].LastVerified
		require.NotZero(s, good)
		require.Equal(s, older.TokenID, files[1].TokenID)

		time.Sleep(time.Hour)
		raw, _ := s.world.Disk.Read(path)
		raw[len(raw)-1] ^= 1
		s.world.Disk.Write(path, raw)
		files, err = s.keeper.JudgeAll(s.Context())
		require.NoError(s, err)
		for _, file := range files {
			if file.Path == path {
				require.Equal(s, backup.Corrupt, file.Verdict)
				require.Equal(s, good, file.LastVerified)
			}
		}

		var damage []string
		for _, notice := range s.keeper.Notices() {
			if notice.Warning == states.WarnDamaged {
				damage = append(damage, notice.Detail)
			}
		}
		require.Len(s, damage, 1)
		require.Contains(s, damage[0], path+
			": corrupt, last in order at "+stamp(good))
		require.Contains(s, damage[0], "4 more in that place")

		s.world.Disk.Lose(path)
		_, err = s.keeper.JudgeAll(s.Context())
		require.NoError(s, err)
		require.NotContains(s, s.keeper.verified, path)
	})
}

// TestJudgeForeign checks that a file of another seed is judged and nothing to
// warn of.
func TestJudgeForeign(t *testing.T) {
	run(t, func(s *scene) {
		s.world.Lnd.Replace("mallory")
		path := s.world.Backups.Put(
			twin.SecondDir, s.world.NewContent("alice", 0),
		)
		raw, _ := s.world.Disk.Read(path)
		s.world.Lnd.Replace("client")

		files, err := s.keeper.JudgeAll(s.Context())
		require.NoError(s, err)
		require.Equal(s, backup.OtherSeed, files[0].Verdict)
		require.Empty(s, s.warnings())
		entry, err := s.keeper.JudgeBytes(s.Context(), "a.lrb", raw)
		require.NoError(s, err)
		require.Equal(s, backup.OtherSeed, entry.Verdict)
	})
}
