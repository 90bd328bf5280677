package keeper

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// TestListInTime checks that a caller with a deadline gets before it what the
// places that answered hold, and that the look at a slow one goes on without
// him.
func TestListInTime(t *testing.T) {
	run(t, func(s *scene) {
		content := s.world.NewContent("alice", 0)
		s.world.Backups.Put(twin.DataDir, content)
		s.files.Hang(twin.SecondDir)

		ctx, cancel := context.WithTimeout(s.Context(), 2*time.Second)
		defer cancel()
		entries, err := s.keeper.List(ctx)
		require.NoError(s, ctx.Err())
		require.Len(s, entries, 1)
		places := PlaceErrors(err)
		require.Len(s, places, 1)
		require.ErrorIs(s, places[0], errNotInTime)
		_, missing := s.keeper.Answered()
		require.Len(s, missing, 1)
		require.Equal(s, Unasked, missing[0].State)

		s.within(time.Second, func() {
			entries, err := s.keeper.ListWithin(
				s.Context(), time.Second,
			)
			require.Len(s, entries, 1)
			require.ErrorIs(s, err, errNotInTime)
		})

		s.files.Return(twin.SecondDir)
		synctest.Wait()
		all, _ := s.keeper.Answered()
		require.True(s, all)
	})
}

// TestListGivenUp checks that who gives a look up is told that, and no more.
func TestListGivenUp(t *testing.T) {
	run(t, func(s *scene) {
		s.files.Hang(twin.SecondDir)
		ctx, cancel := context.WithCancel(s.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := s.keeper.List(ctx)
			ended <- err
		}()
		synctest.Wait()
		cancel()
		require.ErrorIs(s, <-ended, context.Canceled)
		s.files.Return(twin.SecondDir)
	})
}

// TestListWithoutLnd checks that no place is blamed for an lnd that is away.
func TestListWithoutLnd(t *testing.T) {
	run(t, func(s *scene) {
		s.cfg.Keys = func(context.Context) (backup.Keys, error) {
			return backup.Keys{}, errDisk
		}
		s.restart()
		for _, call := range []func(ctx context.Context) error{
			func(ctx context.Context) error {
				_, err := s.keeper.List(ctx)
				return err
			},
			func(ctx context.Context) error {
				_, err := s.keeper.Judge(ctx, "/second/a")
				return err
			},
			func(ctx context.Context) error {
				_, err := s.keeper.JudgeAll(ctx)
				return err
			},
			func(ctx context.Context) error {
				_, err := s.keeper.JudgeBytes(ctx, "", nil)
				return err
			},
			func(ctx context.Context) error {
				_, err := s.keeper.Import(ctx, nil, nil)
				return err
			},
			func(ctx context.Context) error {
				_, _, err := s.keeper.Export(
					ctx, backup.Entry{}, backup.Native,
				)
				return err
			},
		} {
			err := call(s.Context())
			require.ErrorIs(s, err, errDisk)
			require.Empty(s, PlaceErrors(err))
		}
		require.Empty(s, s.warnings())
	})
}

// TestMissingPlace checks that a place which appears after the start is found
// by itself, and served.
func TestMissingPlace(t *testing.T) {
	run(t, func(s *scene) {
		s.install("alice")
		s.files.Fail(twin.SecondDir, fs.ErrNotExist)
		ctx, cancel := context.WithCancel(s.Context())
		defer cancel()
		go s.keeper.Run(ctx)
		synctest.Wait()
		require.Contains(s, s.warnings(), states.WarnPlaceUnreadable)
		require.Contains(s, s.warnings(), states.WarnPlaceBehind)
		all, missing := s.keeper.Answered()
		require.False(s, all)
		require.Equal(s, Unreadable, missing[0].State)
		require.ErrorIs(s, missing[0].Err, fs.ErrNotExist)
		since := missing[0].Since

		time.Sleep(lookInterval)
		synctest.Wait()
		_, missing = s.keeper.Answered()
		require.Equal(s, since, missing[0].Since)

		s.files.Fail(twin.SecondDir, nil)
		time.Sleep(lookInterval)
		synctest.Wait()
		all, _ = s.keeper.Answered()
		require.True(s, all)
		time.Sleep(copyRetryInterval)
		synctest.Wait()
		require.Len(s, s.copies(twin.SecondDir), 1)
		require.Empty(s, s.warnings())
	})
}

// TestSlowPlace checks that a place which is too slow to be read is named as
// that, and that it blocks nobody afterwards.
func TestSlowPlace(t *testing.T) {
	run(t, func(s *scene) {
		s.files.Hang(twin.SecondDir)
		release := s.files.hung[twin.SecondDir]
		time.AfterFunc(operationLimit+operationGrace/2, func() {
			s.files.Return(twin.SecondDir)
		})
		s.world.Backups.Put(
			twin.SecondDir, s.world.NewContent("alice", 0),
		)
		_, err := s.keeper.List(s.Context())
		<-release
		require.Len(s, PlaceErrors(err), 1)
		require.ErrorIs(s, s.keeper.Places()[1].Err, errSlow)

		_, err = s.keeper.List(s.Context())
		require.NoError(s, err)
		require.NoError(s, s.keeper.Places()[1].Err)
	})
}

// TestForeignFiles checks that thousands of files with a backup's name, which
// anybody may put on a share, neither hide a backup nor make more than a
// warning or two.
func TestForeignFiles(t *testing.T) {
	run(t, func(s *scene) {
		const foreignFiles = 10_050
		content := s.install("alice")
		path := s.world.Backups.Put(twin.SecondDir, content)
		for i := range foreignFiles {
			name := fmt.Sprintf(
				"loop_recovery_%019d_%064x.lrb", i, i,
			)
			s.world.Disk.Write(
				filepath.Join(twin.SecondDir, name),
				make([]byte, 1000),
			)
		}

		files, err := s.keeper.JudgeAll(s.Context())
		require.NoError(s, err)
		found := false
		for _, file := range files {
			found = found || file.Path == path &&
				file.Verdict == backup.OK
		}
		require.True(s, found)
		require.ElementsMatch(s, []states.Warning{
			states.WarnPlaceCrowded, states.WarnDamaged,
		}, s.warnings())
		for _, notice := range s.keeper.Notices() {
			require.Less(s, len(notice.Detail), 1000)
		}
		all, _ := s.keeper.Answered()
		require.True(s, all)
		require.NoError(s, s.keeper.Protect(s.Context(), 1))
	})
}

// TestJudgeElsewhere checks that a file outside the places is judged, and that
// one which hangs holds up nothing but others like it.
func TestJudgeElsewhere(t *testing.T) {
	run(t, func(s *scene) {
		content := s.world.NewContent("alice", 0)
		path := s.world.Backups.Put(twin.DataDir, content)
		raw, _ := s.world.Disk.Read(path)
		received, err := s.keeper.Receive(s.Context(), raw)
		require.NoError(s, err)

		entry, err := s.keeper.Judge(s.Context(), received)
		require.NoError(s, err)
		require.Equal(s, backup.OK, entry.Verdict)
		require.Equal(s, s.keeper.home(), s.keeper.placeOf(received))

		s.files.Hang("/gone")
		_, err = s.keeper.Judge(s.Context(), "/gone/a")
		var silent *SilentError
		require.ErrorAs(s, err, &silent)
		s.within(0, func() {
			_, err = s.keeper.Judge(s.Context(), "/gone/b")
			require.ErrorAs(s, err, &silent)
			_, err = s.keeper.Judge(s.Context(), path)
			require.NoError(s, err)
		})
		require.Equal(s, 1, s.files.Stuck())
		s.files.Return("/gone")
	})
}
