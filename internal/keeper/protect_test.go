package keeper

import (
	"context"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// warnings returns the codes of all notices.
func (s *scene) warnings() []states.Warning {
	var list []states.Warning
	for _, notice := range s.keeper.Notices() {
		list = append(list, notice.Warning)
	}

	return list
}

// TestProtect checks that a generation is backed up in every place, once, and
// that there is nothing to do without one.
func TestProtect(t *testing.T) {
	run(t, func(s *scene) {
		require.NoError(s, s.keeper.Protect(s.Context(), 1))
		report, err := s.keeper.Create(s.Context())
		require.NoError(s, err)
		require.Nil(s, report)
		require.Empty(s, s.copies(twin.DataDir))

		s.install("alice")
		for range 2 {
			err := s.keeper.Protect(s.Context(), 1)
			require.NoError(s, err)
			require.Len(s, s.copies(twin.DataDir), 1)
			require.Len(s, s.copies(twin.SecondDir), 1)
		}
		report, err = s.keeper.Create(s.Context())
		require.NoError(s, err)
		require.Len(s, report.Places, 2)
		for _, place := range report.Places {
			require.Equal(s, backup.AlreadyThere, place.Status)
		}
		require.Empty(s, s.warnings())
	})
}

// TestHangingPlace checks what a dead network share costs: one goroutine, and
// the time of who needs just that place, once.
func TestHangingPlace(t *testing.T) {
	run(t, func(s *scene) {
		s.install("alice")
		s.files.Hang(twin.SecondDir)

		// Nobody who does not need the place waits for it.
		s.within(0, func() {
			err := s.keeper.Protect(s.Context(), 0)
			require.NoError(s, err)
			require.Len(s, s.copies(twin.DataDir), 1)
		})
		// Who needs it waits for its limit, which the manual tells.
		s.within(16*time.Second, func() {
			err := s.keeper.Protect(s.Context(), 1)
			var silent *SilentError
			require.ErrorAs(s, err, &silent)
		})
		// From then on nobody waits.
		s.within(0, func() {
			err := s.keeper.Protect(s.Context(), 1)
			require.Error(s, err)

			report, err := s.keeper.Create(s.Context())
			require.NoError(s, err)
			require.Equal(s, Silence, report.Places[1].Status)

			entries, err := s.keeper.List(s.Context())
			require.Len(s, entries, 1)
			places := PlaceErrors(err)
			require.Len(s, places, 1)
			require.Equal(s, twin.SecondDir, places[0].Place)

			all, missing := s.keeper.Answered()
			require.False(s, all)
			require.Equal(s, Silent, missing[0].State)
		})
		require.Contains(s, s.warnings(), states.WarnPlaceSilent)
		require.Contains(s, s.warnings(), states.WarnPlaceBehind)
		require.Equal(s, 1, s.files.Stuck())

		// When it answers, it is served.
		s.files.Return(twin.SecondDir)
		synctest.Wait()
		require.NoError(s, s.keeper.Protect(s.Context(), 1))
		require.Empty(s, s.warnings())
		_, err := s.keeper.List(s.Context())
		require.NoError(s, err)
		all, _ := s.keeper.Answered()
		require.True(s, all)
	})
}

// TestCancelWaiting checks that who waits can leave at any moment: for a place,
// for lnd, and for a data directory that hangs.
func TestCancelWaiting(t *testing.T) {
	for name, stop := range map[string]func(s *scene) (release func()){
		"place": func(s *scene) func() {
			s.files.Hang(twin.SecondDir)
			return func() { s.files.Return(twin.SecondDir) }
		},
		"data directory": func(s *scene) func() {
			s.files.Hang(twin.DataDir)
			return func() { s.files.Return(twin.DataDir) }
		},
		"lnd": func(s *scene) func() {
			release := make(chan struct{})
			s.world.SetHook(func(_ context.Context,
				point twin.Point) error {

				if point.Call == "node.DeriveKey" {
					<-release
				}

				return nil
			})

			return func() { close(release) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *scene) {
				s.install("alice")
				release := stop(s)

				ctx, cancel := context.WithCancel(s.Context())
				ended := make(chan error, 2)
				for range 2 {
					go func() {
						err := s.keeper.Protect(ctx, 1)
						ended <- err
					}()
				}
				synctest.Wait()
				s.within(0, func() {
					cancel()
					for range 2 {
						require.ErrorIs(s, <-ended,
							context.Canceled)
					}
				})

				release()
				synctest.Wait()
				s.world.SetHook(nil)
				err := s.keeper.Protect(s.Context(), 1)
				require.NoError(s, err)
			})
		})
	}
}

// TestFailingPlaces checks that a full and a read-only place, and one that does
// not exist, are named with what is missing since when, and that nothing else
// fails.
func TestFailingPlaces(t *testing.T) {
	for name, test := range map[string]struct {
		trouble func(f *troubled, place string, err error)
		failure error
		state   State
	}{
		"full":      {(*troubled).Fill, syscall.ENOSPC, Unasked},
		"read only": {(*troubled).Fill, syscall.EROFS, Unasked},
		"missing":   {(*troubled).Fail, syscall.ENOENT, Unreadable},
		"disk":      {(*troubled).Fail, errDisk, Unreadable},
	} {
		failure := test.failure
		t.Run(name, func(t *testing.T) {
			run(t, func(s *scene) {
				content := s.install("alice")
				test.trouble(s.files, twin.SecondDir, failure)

				err := s.keeper.Protect(s.Context(), 0)
				require.NoError(s, err)
				err = s.keeper.Protect(s.Context(), 1)
				require.ErrorIs(s, err, failure)

				behind := s.keeper.Behind()
				require.Len(s, behind, 1)
				require.Equal(s, content.TokenID,
					behind[0].TokenID)
				since := behind[0].Since
				require.Error(
					s, s.keeper.Protect(s.Context(), 1),
				)
				require.Equal(
					s, since, s.keeper.Behind()[0].Since,
				)

				require.Equal(s, test.state,
					s.keeper.Places()[1].State)
				test.trouble(s.files, twin.SecondDir, nil)
				err = s.keeper.Protect(s.Context(), 1)
				require.NoError(s, err)
				require.Empty(s, s.keeper.Behind())
			})
		})
	}
}
