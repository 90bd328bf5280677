package keeper

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// start lets the keeper of a scene run until the end of the test.
func (s *scene) start() {
	ctx, cancel := context.WithCancel(s.Context())
	s.Cleanup(cancel)
	go s.keeper.Run(ctx)
	synctest.Wait()
}

// TestSelfCheck checks that a generation is protected beside the start, that
// damage is found within an interval, and that a clock which is set back or
// forth changes neither.
func TestSelfCheck(t *testing.T) {
	for name, jump := range map[string]time.Duration{
		"steady": 0, "back": -240 * time.Hour, "forth": 240 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *scene) {
				var shift atomic.Int64
				s.cfg.Now = func() time.Time {
					return time.Now().Add(time.Duration(
						shift.Load(),
					))
				}
				s.cfg.CheckInterval = time.Hour
				s.restart()
				s.install("alice")
				s.start()
				require.Len(s, s.copies(twin.DataDir), 1)
				require.Len(s, s.copies(twin.SecondDir), 1)
				require.Empty(s, s.warnings())

				shift.Store(int64(jump))
				path := s.copies(twin.SecondDir)[0]
				s.world.Disk.Write(path, []byte("torn"))
				time.Sleep(time.Hour - lookInterval)
				synctest.Wait()
				require.Empty(s, s.warnings())
				time.Sleep(2 * lookInterval)
				synctest.Wait()
				require.Equal(s, []states.Warning{
					states.WarnDamaged,
				}, s.warnings())
				require.Len(s, s.copies(twin.SecondDir), 2,
					"a good copy beside the bad one")
			})
		})
	}
}

// TestSelfCheckNever checks that 0 means never.
func TestSelfCheckNever(t *testing.T) {
	run(t, func(s *scene) {
		s.install("alice")
		s.start()
		s.world.Disk.Write(s.copies(twin.SecondDir)[0], []byte("torn"))
		time.Sleep(1000 * time.Hour)
		synctest.Wait()
		require.Empty(s, s.warnings())
	})
}

// TestSelfCheckWithoutLnd checks that a generation is protected and checked as
// soon as lnd answers.
func TestSelfCheckWithoutLnd(t *testing.T) {
	run(t, func(s *scene) {
		var answers atomic.Bool
		keys := s.cfg.Keys
		s.cfg.Keys = func(ctx context.Context) (backup.Keys, error) {
			if !answers.Load() {
				return backup.Keys{}, errDisk
			}

			return keys(ctx)
		}
		s.cfg.CheckInterval = time.Hour
		s.restart()
		s.install("alice")
		s.start()
		require.Equal(s, []states.Warning{states.WarnNotProtected},
			s.warnings())

		answers.Store(true)
		time.Sleep(copyRetryInterval)
		synctest.Wait()
		require.Empty(s, s.warnings())
		require.Len(s, s.copies(twin.SecondDir), 1)
	})
}

// TestSelfCheckHanging checks that a place which hangs for good costs one
// goroutine, however often it would be looked at, and takes nothing from the
// others.
func TestSelfCheckHanging(t *testing.T) {
	run(t, func(s *scene) {
		s.cfg.CheckInterval = time.Hour
		s.restart()
		s.install("alice")
		s.files.Hang(twin.SecondDir)
		s.start()
		require.Len(s, s.copies(twin.DataDir), 1)

		time.Sleep(48 * time.Hour)
		synctest.Wait()
		require.Equal(s, 1, s.files.Stuck())
		notices := s.keeper.Notices()
		require.Equal(s, states.WarnPlaceSilent, notices[0].Warning)

		s.files.Return(twin.SecondDir)
		time.Sleep(copyRetryInterval + lookInterval)
		synctest.Wait()
		require.Empty(s, s.warnings())
		require.Len(s, s.copies(twin.SecondDir), 1)
	})
}
