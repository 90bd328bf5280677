package itest

import (
	"context"
	"encoding/binary"
	"os"
	"testing"
	"time"

	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/stretchr/testify/require"
)

const (
	// rowAloneCode is the code of the warning that there is an address
	// without its token.
	rowAloneCode = "ADDRESS_WITHOUT_TOKEN"

	// notProtectedCode is the code of the warning that the address in use
	// has no backup.
	notProtectedCode = "NOT_PROTECTED"

	// noPlaceCode is the code of the warning that there is no second
	// backup place.
	noPlaceCode = "NO_SECOND_PLACE"
)

// TestStoryLHalfLost: one of the two halves of a generation is gone, the
// token's file or the database with the address, and the backup is there. If
// this breaks, the next call buys a token that does not belong to the address,
// or makes an address beside the one with the money.
func TestStoryLHalfLost(t *testing.T) {
	s := newStory(t)
	loopd := s.newLoopd(regtest.LoopdConfig{})
	s.start(loopd)
	address := s.newAddress(loopd)
	deposits := s.pay(address, 200_000)
	s.waitDeposits(loopd, deposits...)
	token := s.token(loopd)
	challenges := s.Swap.Challenges()

	for _, lose := range []func(*regtest.Loopd){
		s.removeRow, s.removeToken,
	} {
		s.stop(loopd)
		lose(loopd)
		s.startListening(loopd)
		require.True(t, s.waitReconciled(loopd).Automatic)
		s.waitRestored(loopd, deposits...)
		require.Equal(t, token, s.token(loopd))
		require.Equal(t, address, s.newAddress(loopd))
	}
	require.Len(t, s.runs(loopd), 2)
	require.Equal(t, challenges, s.Swap.Challenges(), "bought a token")
}

// TestStoryLTokenAlone: a user has paid for a token and never made a static
// address, which is most of them. If this breaks, they are bothered with
// recoveries, or their first address is not protected.
func TestStoryLTokenAlone(t *testing.T) {
	s := newStory(t)
	loopd := s.newLoopd(regtest.LoopdConfig{})
	s.startUpstream(loopd)
	s.fetchToken(loopd)
	s.stop(loopd)
	token, challenges := s.token(loopd), s.Swap.Challenges()

	s.start(loopd)
	resp := s.waitCalm(loopd)
	require.Nil(t, resp.Run)
	require.Equal(t, recoveryrpc.DaemonState_DAEMON_UP, resp.Daemon.State)
	require.Empty(t, s.backups(loopd))

	s.newAddress(loopd)
	content := s.open(s.backup(loopd), s.Client)
	require.Equal(t, token, content.Token)
	require.Equal(t, token, s.token(loopd))
	require.Equal(t, challenges, s.Swap.Challenges(), "bought a token")
}

// TestStoryLRowAlone: the token is gone and there is no backup. The deposits
// can still be swept after their timeout, so the daemon starts; but a token
// that is bought later must not end up in one backup with that address. If this
// breaks, that user restores a pair one day of which neither half knows the
// other.
func TestStoryLRowAlone(t *testing.T) {
	s := newStory(t)
	loopd := s.newLoopd(regtest.LoopdConfig{})
	s.start(loopd)
	address := s.newAddress(loopd)
	deposits := s.pay(address, 200_000)
	s.waitDeposits(loopd, deposits...)
	s.stop(loopd)
	s.removeToken(loopd)
	s.removeBackups(loopd)
	challenges := s.Swap.Challenges()

	s.start(loopd)
	resp := s.waitWarned(loopd, rowAloneCode, true)
	require.Nil(t, resp.Run)
	s.waitDeposits(loopd, deposits...)
	require.Equal(t, challenges, s.Swap.Challenges(), "bought a token")

	// The chain of the stories is minutes old, so that it takes a token
	// from tomorrow to be one that was bought long after the address.
	s.fetchToken(loopd)
	require.Equal(t, challenges+1, s.Swap.Challenges())
	s.stop(loopd)
	s.postdateToken(loopd, 24*time.Hour)
	s.start(loopd)
	resp = s.waitWarned(loopd, notProtectedCode, true)
	require.False(t, warned(resp, rowAloneCode), "%v", resp.Warnings)
	require.Empty(t, s.backups(loopd), "paired with a younger token")
	s.waitDeposits(loopd, deposits...)
}

// fetchToken makes the daemon buy a token.
func (s *story) fetchToken(loopd *regtest.Loopd) {
	s.Helper()

	s.swap(loopd, func(ctx context.Context,
		client looprpc.SwapClientClient) error {

		_, err := client.FetchL402Token(
			ctx, &looprpc.FetchL402TokenRequest{},
		)

		return err
	})
}

// postdateToken moves the creation time in the token's file of a stopped
// daemon.
func (s *story) postdateToken(loopd *regtest.Loopd, by time.Duration) {
	s.Helper()

	raw := s.token(loopd)
	created := raw[len(raw)-8:]
	binary.BigEndian.PutUint64(
		created, binary.BigEndian.Uint64(created)+uint64(by),
	)
	require.NoError(s, os.WriteFile(loopd.TokenPath(), raw, 0o600))
}
