package keeper

import (
	"errors"
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// boughtAt makes a generation whose token was bought at a time, by the buyer's
// clock, for an address of the next block.
func (s *scene) boughtAt(when time.Time) *backup.Content {
	content := s.world.NewContent("alice", 0)
	content.TokenCreated = when
	content.Token = twin.NewToken("alice", when, true)

	return content
}

// TestSeenPair checks that an address is handed out and backed up that this
// daemon saw being made, whatever the clocks say, also after a restart; and
// that without a record of it only a next block's time counts.
func TestSeenPair(t *testing.T) {
	for name, test := range map[string]struct {
		// clock is how far the host's clock is ahead, nextBlock how
		// long after the call the next block is found.
		clock, nextBlock time.Duration

		// refuted says whether the clocks speak against the pair.
		refuted bool
	}{
		"clock two hours fast": {
			2 * time.Hour, 10 * time.Minute, false,
		},
		"clock two days fast": {48 * time.Hour, time.Minute, true},
		"clock two days slow": {
			-48 * time.Hour, time.Minute, false,
		},
		"three hours to the block": {0, 3 * time.Hour, false},
		"two days to the block":    {0, 48 * time.Hour, false},
		"block from the past":      {0, -30 * time.Minute, false},
		"block far from the past":  {0, -5 * time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *scene) {
				now := s.world.Chain.Time()
				content := s.boughtAt(now.Add(test.clock))
				content.Address.FirstHeight =
					s.world.Chain.Tip().Height

				watch := s.keeper.WatchPair(s.Context())
				s.place(content)
				watch.Seen(s.Context())
				s.world.Chain.MineAt(now.Add(test.nextBlock))

				err := s.keeper.Protect(s.Context(), 1)
				require.NoError(s, err)
				s.restart()
				evidence, err := s.keeper.PairEvidence(
					s.Context(),
				)
				require.NoError(s, err)
				require.Equal(s, Seen, evidence.Proof)
				require.False(s, evidence.Refuted)

				// Another machine has no record, and no backup
				// either.
				s.cfg.Memory = NewRAM()
				for _, path := range append(
					s.copies(twin.DataDir),
					s.copies(twin.SecondDir)...,
				) {
					s.world.Disk.Lose(path)
				}
				s.restart()
				err = s.keeper.Protect(s.Context(), 1)
				if !test.refuted {
					require.NoError(s, err)
					return
				}
				reason, _ := states.PermanentReason(err)
				require.Equal(s, states.PairUnproven, reason)
				require.Empty(s, s.copies(twin.DataDir))
			})
		})
	}
}

// TestWatchPair checks what the record of a call proves: only that an address
// which was not there before was made with the token that is there now.
func TestWatchPair(t *testing.T) {
	other := func(s *scene) *backup.Content {
		return s.world.NewContent("mallory", 7)
	}
	for name, test := range map[string]struct {
		// before prepares the world, call is what the call does.
		before, call func(s *scene, content *backup.Content)
		proof        Proof
	}{
		"both made": {
			call: (*scene).place, proof: Seen,
		},
		"address made with the token": {
			before: func(s *scene, content *backup.Content) {
				s.world.Tokens.Put(content.Token)
			},
			call: (*scene).putRow, proof: Seen,
		},
		"address was there": {
			before: (*scene).putRow,
			call: func(s *scene, content *backup.Content) {
				s.world.Tokens.Put(content.Token)
			},
		},
		"token changed": {
			before: func(s *scene, _ *backup.Content) {
				s.world.Tokens.Put(other(s).Token)
			},
			call: (*scene).place,
		},
		"token was unreadable": {
			before: func(s *scene, _ *backup.Content) {
				s.world.Tokens.Put([]byte("torn"))
			},
			call: (*scene).place,
		},
		"nothing made": {
			call: func(*scene, *backup.Content) {},
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *scene) {
				content := s.world.NewContent("alice", 0)
				if test.before != nil {
					test.before(s, content)
				}
				watch := s.keeper.WatchPair(s.Context())
				test.call(s, content)
				watch.Seen(s.Context())

				require.Equal(s, test.proof, s.keeper.proof(
					s.Context(), pairID(content),
				))
			})
		})
	}
}

// TestWatchWithoutLook checks that a look that failed proves nothing, and that
// a memory that cannot be written does not stand in the way.
func TestWatchWithoutLook(t *testing.T) {
	run(t, func(s *scene) {
		s.world.SetHook(twin.FailAt(
			twin.Point{Call: "rows.All"}, 1, errDisk,
		))
		content := s.world.NewContent("alice", 0)
		watch := s.keeper.WatchPair(s.Context())
		s.place(content)
		watch.Seen(s.Context())
		require.Equal(s, Unproven, s.keeper.proof(
			s.Context(), pairID(content),
		))
	})
	run(t, func(s *scene) {
		s.cfg.Memory = brokenMemory{}
		s.restart()
		content := s.boughtAt(s.world.Chain.Time().Add(48 * time.Hour))
		watch := s.keeper.WatchPair(s.Context())
		s.place(content)
		watch.Seen(s.Context())
		s.world.Chain.Mine(2)
		require.NoError(s, s.keeper.Protect(s.Context(), 1))
	})
}

// TestAcceptPair checks that a refuted pair is backed up after a person said
// so, that this is told in the backup, and that it is not asked for where it is
// not in doubt.
func TestAcceptPair(t *testing.T) {
	run(t, func(s *scene) {
		evidence, err := s.keeper.PairEvidence(s.Context())
		require.NoError(s, err)
		require.Nil(s, evidence)
		require.NoError(s, s.keeper.AcceptPair(s.Context()))

		content := s.boughtAt(s.world.Chain.Time().Add(48 * time.Hour))
		s.place(content)
		s.world.Chain.Mine(2)
		_, err = s.keeper.Create(s.Context())
		reason, _ := states.PermanentReason(err)
		require.Equal(s, states.PairUnproven, reason)
		require.Contains(s, s.warnings(), states.WarnNotProtected)

		evidence, err = s.keeper.PairEvidence(s.Context())
		require.NoError(s, err)
		require.True(s, evidence.Refuted)
		require.True(
			s, evidence.TokenCreated.Equal(content.TokenCreated),
		)
		require.Equal(s, content.Address.FirstHeight, evidence.Height)
		require.Equal(s, 10*time.Minute, evidence.NextBlockTime.Sub(
			evidence.BlockTime,
		))

		require.NoError(s, s.keeper.AcceptPair(s.Context()))
		require.NoError(s, s.keeper.Protect(s.Context(), 1))
		entries, err := s.keeper.List(s.Context())
		require.NoError(s, err)
		require.Len(s, entries, 2)
		require.NotContains(s, s.warnings(), states.WarnNotProtected)
	})
	run(t, func(s *scene) {
		content := s.install("alice")
		require.NoError(s, s.keeper.AcceptPair(s.Context()))
		require.Equal(s, Unproven, s.keeper.proof(
			s.Context(), pairID(content),
		))
	})
}

// TestBackupProves checks that a backup which holds a refuted pair proves it,
// wherever it is, and that a restore from it is remembered.
func TestBackupProves(t *testing.T) {
	run(t, func(s *scene) {
		content := s.boughtAt(s.world.Chain.Time().Add(48 * time.Hour))
		path := s.world.Backups.Put(twin.SecondDir, content)
		s.place(content)
		s.world.Chain.Mine(2)

		require.NoError(s, s.keeper.Protect(s.Context(), 1))
		require.Len(s, s.copies(twin.DataDir), 1)

		// The record is enough from then on.
		s.world.Disk.Lose(path)
		s.world.Disk.Lose(s.copies(twin.DataDir)[0])
		s.restart()
		require.NoError(s, s.keeper.Protect(s.Context(), 1))
	})
	run(t, func(s *scene) {
		content := s.boughtAt(s.world.Chain.Time().Add(48 * time.Hour))
		path := s.world.Backups.PutOlder(twin.SecondDir, content)
		err := s.keeper.RestoredFrom(s.Context(), path)
		require.NoError(s, err)
		s.world.Disk.Lose(path)
		require.Error(s, s.keeper.RestoredFrom(s.Context(), path))

		s.place(content)
		s.world.Chain.Mine(2)
		require.NoError(s, s.keeper.Protect(s.Context(), 1))
	})
}

// TestProofOrder checks that no weaker proof replaces a stronger one.
func TestProofOrder(t *testing.T) {
	run(t, func(s *scene) {
		id := pairID(s.world.NewContent("alice", 0))
		for _, proof := range []Proof{Accepted, Seen, Accepted} {
			s.keeper.prove(s.Context(), id, proof)
		}
		require.Equal(s, Seen, s.keeper.proof(s.Context(), id))
	})
}

// TestUnfit checks that what is in place and cannot be a generation is named.
func TestUnfit(t *testing.T) {
	run(t, func(s *scene) {
		s.install("alice")
		s.putRow(s.world.NewContent("bob", 1))
		err := s.keeper.Protect(s.Context(), 0)
		reason, _ := states.PermanentReason(err)
		require.Equal(s, states.AddressConflict, reason)
	})
	run(t, func(s *scene) {
		s.install("alice")
		s.world.Lnd.Replace("mallory")
		err := s.keeper.Protect(s.Context(), 0)
		reason, _ := states.PermanentReason(err)
		require.Equal(s, states.KeyNotDerivable, reason)
	})
	for _, call := range []string{
		"chain.BestBlock", "chain.BlockTime", "node.DeriveKey",
		"rows.All",
	} {
		run(t, func(s *scene) {
			s.install("alice")
			s.world.SetHook(twin.FailAt(
				twin.Point{Call: call}, 1, errDisk,
			))
			err := s.keeper.Protect(s.Context(), 0)
			require.ErrorIs(s, err, errDisk)
			_, permanent := states.PermanentReason(err)
			require.False(s, permanent)
			require.True(s, errors.Is(err, errDisk))
		})
	}
}
