package keeper

import (
	"testing"

	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// mounted returns a scene's keeper on a disk of which the test says where it is
// mounted.
func (s *scene) mounted() *directories {
	disk := &directories{}
	disk.set(twin.DataDir, Identity{Device: 1, Inode: 2, MountRoot: "/"})
	disk.set(twin.SecondDir, Identity{
		Device: 9, Inode: 2, MountRoot: twin.SecondDir,
	})
	s.cfg.Disk = disk
	s.restart()

	return disk
}

// TestEmptyMountPoint checks that a place whose disk is not mounted any more is
// told from one that holds nothing, also after a restart, that nothing is
// written to the mount point, and that it does not count as having answered.
func TestEmptyMountPoint(t *testing.T) {
	run(t, func(s *scene) {
		disk := s.mounted()
		_, err := s.keeper.List(s.Context())
		require.NoError(s, err)

		s.install("alice")
		disk.set(twin.SecondDir, Identity{
			Device: 1, Inode: 7, MountRoot: "/",
		})
		for range 2 {
			err := s.keeper.Protect(s.Context(), 1)
			var empty *EmptyError
			require.ErrorAs(s, err, &empty)
			require.Equal(s, twin.SecondDir, empty.MountRoot)
			require.Contains(s, empty.Error(), twin.SecondDir)
			require.Empty(s, s.copies(twin.SecondDir))
			_, err = s.keeper.List(s.Context())
			require.Len(s, PlaceErrors(err), 1)
			require.Contains(s, s.warnings(), states.WarnPlaceEmpty)
			s.restart()
		}
		_, err = s.keeper.List(s.Context())
		require.Error(s, err)
		all, missing := s.keeper.Answered()
		require.False(s, all)
		require.Equal(s, Empty, missing[0].State)

		// Mounted, also on another device, it is the place again.
		disk.set(twin.SecondDir, Identity{
			Device: 10, Inode: 2, MountRoot: twin.SecondDir,
		})
		require.NoError(s, s.keeper.Protect(s.Context(), 1))
		require.Empty(s, s.warnings())
	})
}

// TestOrdinaryDirectory checks that a user who copies a backup into what was a
// mount point makes it an ordinary directory.
func TestOrdinaryDirectory(t *testing.T) {
	run(t, func(s *scene) {
		disk := s.mounted()
		content := s.install("alice")
		require.NoError(s, s.keeper.Protect(s.Context(), 1))
		disk.set(twin.SecondDir, Identity{
			Device: 1, Inode: 7, MountRoot: "/",
		})
		require.Len(s, s.copies(twin.SecondDir), 1)
		require.NoError(s, s.keeper.Protect(s.Context(), 1))

		// That is remembered.
		s.world.Disk.Lose(s.copies(twin.SecondDir)[0])
		s.restart()
		require.NoError(s, s.keeper.Protect(s.Context(), 1))
		require.Len(s, s.copies(twin.SecondDir), 1)
		require.Equal(s, []states.Warning{states.WarnOneDisk},
			s.warnings())
		require.Equal(s, content.Network, twin.Network)
	})
}

// TestMountMemoryLost checks that a memory which cannot be used holds nothing
// up.
func TestMountMemoryLost(t *testing.T) {
	run(t, func(s *scene) {
		s.cfg.Memory = brokenMemory{}
		s.mounted()
		s.install("alice")
		require.NoError(s, s.keeper.Protect(s.Context(), 1))
	})
}

// TestSameDirectory checks that two names of one directory hold one copy, and
// that the data directory by another name is no second place.
func TestSameDirectory(t *testing.T) {
	run(t, func(s *scene) {
		s.cfg.Places = []string{"/a", "/b", "/c"}
		disk := s.mounted()
		for path, inode := range map[string]uint64{
			"/a": 5, "/b": 5, "/c": 2,
		} {
			disk.set(path, Identity{
				Device: 1, Inode: inode, MountRoot: "/",
			})
			require.NoError(s, s.files.Mkdir(path, 0o700))
		}
		s.install("alice")
		require.NoError(s, s.keeper.Protect(s.Context(), 1))
		err := s.keeper.Protect(s.Context(), 2)
		require.ErrorContains(s, err, "1 of 2 further copies")
		require.ErrorContains(s, err, "is the same directory as")
	})
}

// TestNoSecondPlace checks that the default, in which one disk holds
// everything, is warned of, also if the user names the data directory itself.
func TestNoSecondPlace(t *testing.T) {
	run(t, func(s *scene) {
		s.cfg.Places = []string{twin.DataDir + "/"}
		s.restart()
		require.Equal(s, []states.Warning{states.WarnNoSecondPlace},
			s.warnings())
	})
}

// TestCleanPlaces checks which places are refused and which are one.
func TestCleanPlaces(t *testing.T) {
	places, err := CleanPlaces([]string{"/d", "/d/", "/e/../d", "/f"})
	require.NoError(t, err)
	require.Equal(t, []string{"/d", "/f"}, places)
	for _, dir := range []string{"", "d", "./d", "../d"} {
		_, err := CleanPlaces([]string{"/d", dir})
		require.Error(t, err, "%q", dir)
	}
}
