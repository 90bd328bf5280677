package itest

import (
	"context"
	"encoding/hex"
	"testing"

	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/stretchr/testify/require"
)

// TestStoryEFreshInstall: somebody installs loopd and has no backup. If this
// breaks, every new user pays for something that nobody asked for, and a user
// who only forgot to mount the backups gets a token that stands in the way of
// the restore.
func TestStoryEFreshInstall(t *testing.T) {
	s := newStory(t)
	challenges := s.Swap.Challenges()
	loopd := s.newLoopd(regtest.LoopdConfig{})
	s.start(loopd)
	_, err := s.Mine(t.Context(), 1)
	require.NoError(t, err)
	s.swap(loopd, func(ctx context.Context,
		client looprpc.SwapClientClient) error {

		_, err := client.GetInfo(ctx, &looprpc.GetInfoRequest{})

		return err
	})

	resp := s.waitCalm(loopd)
	require.Nil(t, resp.Run)
	require.Equal(t, challenges, s.Swap.Challenges(), "bought a token")
	require.NoFileExists(t, loopd.TokenPath())
	require.Empty(t, s.backups(loopd))

	// Only what the user asks for buys one, and that is protected at once.
	s.newAddress(loopd)
	require.Equal(t, challenges+1, s.Swap.Challenges())
	s.backup(loopd)
}

// TestStoryFUpstreamsDirectory: a user of upstream's loopd starts ours on the
// same directory, and goes back another day. If this breaks, that user either
// has no backup although ours runs, or cannot go back.
func TestStoryFUpstreamsDirectory(t *testing.T) {
	s := newStory(t)
	loopd := s.newLoopd(regtest.LoopdConfig{})
	s.startUpstream(loopd)
	address := s.newAddress(loopd)
	deposits := s.pay(address, 200_000)
	s.waitDeposits(loopd, deposits...)
	s.stop(loopd)
	token := s.token(loopd)
	require.Empty(t, s.backups(loopd))
	challenges := s.Swap.Challenges()

	s.start(loopd)
	s.checkListed(loopd, s.backup(loopd), token)
	resp := s.waitCalm(loopd)
	require.Nil(t, resp.Run, "a recovery was begun")
	s.waitDeposits(loopd, deposits...)
	require.Equal(t, address, s.newAddress(loopd))

	// The second start finds the backup and writes none.
	saved := s.backup(loopd)
	s.stop(loopd)
	s.start(loopd)
	require.Equal(t, saved, s.backup(loopd))
	s.stop(loopd)

	// Upstream's finds everything as it left it. It takes every file whose
	// name begins like the token's for a token.
	s.startUpstream(loopd)
	s.waitDeposits(loopd, deposits...)
	require.Equal(t, address, s.newAddress(loopd))
	require.Equal(t, token, s.token(loopd))
	s.swap(loopd, func(ctx context.Context,
		client looprpc.SwapClientClient) error {

		tokens, err := client.GetL402Tokens(
			ctx, &looprpc.TokensRequest{},
		)
		if err == nil {
			require.Len(t, tokens.Tokens, 1)
		}

		return err
	})
	require.Equal(t, challenges, s.Swap.Challenges(), "bought a token")
}

// checkListed checks that a backup is listed as good and as the one of the
// token in place.
func (s *story) checkListed(loopd *regtest.Loopd, saved file, token []byte) {
	s.Helper()

	conn, err := loopd.Dial()
	require.NoError(s, err)
	defer conn.Close()
	resp, err := recoveryrpc.NewRecoveryClient(conn).ListBackups(
		s.Context(), &recoveryrpc.ListBackupsRequest{},
	)
	require.NoError(s, err)
	require.Empty(s, resp.PlaceErrors)
	require.Len(s, resp.Backups, 1)
	listed := resp.Backups[0]
	require.Equal(s, string(backup.OK), listed.Verdict, listed.Detail)
	require.Contains(s, listed.Path, saved.name)

	content := s.open(saved, s.Client)
	require.Equal(s, token, content.Token)
	require.Equal(s, hex.EncodeToString(content.TokenID[:]),
		listed.TokenId)
}
