package itest

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// recoveryWindow is the look-ahead with which a rebuilt lnd looks for its own
// coins.
const recoveryWindow = 20

// blindCode is the code of the warning that lnd's wallet does not see what was
// paid to the address.
const blindCode = "WALLET_BLIND"

// newClient starts an lnd of the story, with a channel to the server.
func (s *story) newClient(name string) *regtest.Lnd {
	s.Helper()

	lnd, err := s.StartClient(s.Context(), s.name(name))
	require.NoError(s, err)
	s.lnds = append(s.lnds, lnd)

	return lnd
}

// rebuild destroys an lnd and makes a new one from its 24 words in a new
// directory. Its wallet is blind for everything imported.
func (s *story) rebuild(lost *regtest.Lnd, name string) *regtest.Lnd {
	s.Helper()

	require.NoError(s, lost.Destroy())
	lnd, err := s.StartLnd(s.Context(), regtest.LndConfig{
		Name: s.name(name), Words: lost.Words(),
		RecoveryWindow: recoveryWindow,
	})
	require.NoError(s, err)
	s.lnds = append(s.lnds, lnd)

	return lnd
}

// TestStoryALoopDirLost: the disk with loopd's directory dies, lnd is on
// another. The user puts the backup file into a fresh directory and starts
// loopd. If this breaks, the deposits of that user are only to be had with a
// token that is gone for good.
func TestStoryALoopDirLost(t *testing.T) {
	s := newStory(t)
	loopd := s.newLoopd(regtest.LoopdConfig{})
	s.start(loopd)
	address := s.newAddress(loopd)
	deposits := s.pay(address, 200_000, 300_000)
	s.waitDeposits(loopd, deposits...)
	token, saved := s.token(loopd), s.backup(loopd)
	challenges := s.Swap.Challenges()

	s.lose(loopd)
	s.plant(loopd, saved)
	s.startListening(loopd)
	run := s.waitReconciled(loopd)

	require.True(t, run.Automatic)
	require.Equal(t, filepath.Join(loopd.DataDir(), saved.name),
		run.Backup.Path)
	s.waitRestored(loopd, deposits...)
	require.Equal(t, token, s.token(loopd))
	require.Equal(t, address, s.newAddress(loopd))
	require.Equal(t, challenges, s.Swap.Challenges(), "bought a token")

	// The backup is neither changed nor written a second time.
	require.Equal(t, saved, s.backup(loopd))
	result := s.summary(run)
	require.Equal(t, address, result.Address)
	require.EqualValues(t, 500_000, result.Unspent)
	require.Equal(t, summaryOutputs(deposits...), s.withoutKeys(result))
}

// summaryOutputs returns what a summary says of unspent deposits at a fresh
// address of the legacy family, in the order of their heights.
func summaryOutputs(deposits ...deposit) []actions.SummaryOutput {
	outputs := make([]actions.SummaryOutput, 0, len(deposits))
	for _, d := range deposits {
		outputs = append(outputs, actions.SummaryOutput{
			OutPoint: d.outpoint.String(), Value: int64(d.value),
			Height: d.height,
		})
	}

	return outputs
}

// TestStoryBBothLost: the machine is gone. The user has the 24 words and one
// backup file. The rebuilt lnd sees none of the deposits and never will. If
// this breaks, upstream takes them for spent, forgets them, and never sweeps
// them.
func TestStoryBBothLost(t *testing.T) {
	newStory(t).bothLost(nil, func() {})
}

// bothLost tells the story of the machine that is gone, with loopd's database
// where the options say. loseDatabase loses what of it is not in loopd's
// directory.
func (s *story) bothLost(options []string, loseDatabase func()) *regtest.Loopd {
	s.Helper()

	lost := s.newClient("lnd")
	loopd := s.newLoopd(regtest.LoopdConfig{
		Lnd: lost, ExtraArgs: options,
	})
	s.start(loopd)
	address := s.newAddress(loopd)
	deposits := s.pay(address, 200_000, 300_000, 400_000)
	s.waitDeposits(loopd, deposits...)
	txid, height := s.withdraw(loopd, deposits[0])
	live := deposits[1:]
	s.waitDeposits(loopd, live...)
	token, saved := s.token(loopd), s.backup(loopd)
	challenges := s.Swap.Challenges()

	s.lose(loopd)
	loseDatabase()
	lnd := s.rebuild(lost, "lnd-rebuilt")
	loopd.SetLnd(lnd)
	s.plant(loopd, saved)
	s.startListening(loopd)
	run := s.waitReconciled(loopd)

	// Nothing of what is gone is alive, and nothing alive is missing.
	want := summaryOutputs(deposits...)
	want[0].SpendTxID, want[0].SpendHeight = txid.String(), height
	result := s.summary(run)
	require.Equal(s, want, s.withoutKeys(result))
	require.EqualValues(s, 700_000, result.Unspent)
	s.waitRestored(loopd, live...)
	require.Equal(s, token, s.token(loopd))
	require.Equal(s, address, s.newAddress(loopd))
	require.Equal(s, challenges, s.Swap.Challenges(), "bought a token")

	s.waitSwept(lnd, live...)
	s.waitDeposits(loopd)

	return loopd
}

// withoutKeys returns a summary's outputs without the keys, which it checks to
// be those of the generation's one address.
func (s *story) withoutKeys(summary actions.Summary) []actions.SummaryOutput {
	s.Helper()

	var outputs []actions.SummaryOutput
	for _, output := range summary.Outputs {
		require.Equal(s, summary.KeyFamily, output.KeyFamily)
		require.Equal(s, summary.KeyIndex, output.KeyIndex)
		output.KeyFamily, output.KeyIndex = 0, 0
		outputs = append(outputs, output)
	}

	return outputs
}

// TestStoryCLndRebuilt: lnd's machine is gone, loopd's directory is not; it is
// of yesterday, and one of its deposits was spent today. The daemon starts at
// once, for there may be swaps with deadlines, and shows the deposits as it
// knew them; nobody can spend one that may be spent already. The user has
// switched off that the chain is searched by itself. If this breaks, the
// deposits vanish from the list at the first start and their sweeps never
// happen.
func TestStoryCLndRebuilt(t *testing.T) {
	s := newStory(t)
	lost := s.newClient("lnd")
	loopd := s.newLoopd(regtest.LoopdConfig{
		Lnd: lost, ExtraArgs: []string{"--recovery.autoscan=off"},
	})
	s.start(loopd)
	deposits := s.pay(s.newAddress(loopd), 200_000, 300_000, 400_000)
	s.waitDeposits(loopd, deposits...)
	spend := s.spendBehind(loopd, deposits[2])

	lnd := s.rebuild(lost, "lnd-rebuilt")
	loopd.SetLnd(lnd)
	s.start(loopd)
	resp := s.recovery(loopd)
	require.Nil(t, resp.Run, "a recovery was begun unasked")
	require.True(t, warned(resp, blindCode), "%v", resp.Warnings)
	s.waitDeposits(loopd, deposits...)
	s.refusesUnverified(loopd, deposits[0])

	// A new block changes nothing of it.
	_, err := s.Mine(t.Context(), 1)
	require.NoError(t, err)
	s.waitDeposits(loopd, deposits...)
	s.refusesUnverified(loopd, deposits[0])

	result := s.cli(loopd, "recover", "rescan")
	require.Zero(t, result.ExitCode, "%s%s", result.Stdout, result.Stderr)
	resp = s.recovery(loopd)
	require.Equal(t, string(states.Rescan), resp.Run.Kind)
	require.True(t, resp.Run.Finished)
	require.False(t, warned(resp, blindCode), "%v", resp.Warnings)
	want := summaryOutputs(deposits...)
	want[2].SpendTxID, want[2].SpendHeight = spend.txid, spend.height
	require.Equal(t, want, s.withoutKeys(s.summary(resp.Run)))
	s.waitRestored(loopd, deposits[:2]...)

	// Now they can be spent, with the server and without.
	s.withdraw(loopd, deposits[0])
	s.waitDeposits(loopd, deposits[1])
	s.waitSwept(lnd, deposits[1])
	s.waitDeposits(loopd)
}

// spend names the transaction that spent a deposit.
type spend struct {
	txid   string
	height int32
}

// spendBehind spends a deposit to somebody else and then puts the daemon's
// directory back to what it was before. The daemon is stopped. A rebuilt lnd
// cannot know of the spend: it has nothing to do with its wallet.
func (s *story) spendBehind(loopd *regtest.Loopd, d deposit) spend {
	s.Helper()

	yesterday := filepath.Join(s.scratch, "yesterday")
	s.stop(loopd)
	s.copyDir(yesterday, loopd.Dir())
	s.start(loopd)
	somebody, err := s.Server.NewAddress(s.Context())
	require.NoError(s, err)
	hash, height := s.withdrawTo(loopd, d, somebody)

	s.lose(loopd)
	s.copyDir(loopd.Dir(), yesterday)

	return spend{hash.String(), height}
}

// refusesUnverified checks that no call may spend the deposit, by its name or
// by leaving the choice to the daemon.
func (s *story) refusesUnverified(loopd *regtest.Loopd, d deposit) {
	s.Helper()

	all := &looprpc.WithdrawDepositsRequest{
		All: true, SatPerVbyte: withdrawFeeRate,
	}
	loopIn := &looprpc.StaticAddressLoopInRequest{
		Outpoints:             []string{d.outpoint.String()},
		MaxSwapFeeSatoshis:    10_000,
		PaymentTimeoutSeconds: 60,
	}
	s.swap(loopd, func(ctx context.Context,
		client looprpc.SwapClientClient) error {

		_, err := client.WithdrawDeposits(ctx, withdrawRequest(d))
		s.refused(err, codes.FailedPrecondition,
			states.DepositUnverified)
		_, err = client.WithdrawDeposits(ctx, all)
		s.refused(err, codes.FailedPrecondition,
			states.DepositUnverified)
		_, err = client.StaticAddressLoopIn(ctx, loopIn)
		s.refused(err, codes.FailedPrecondition,
			states.DepositUnverified)

		return nil
	})
}

// refused checks the machine-readable part of an error.
func (s *story) refused(err error, code codes.Code, reason states.Reason) {
	s.Helper()

	require.Error(s, err)
	require.Equal(s, code, status.Code(err), "%v", err)
	got, ok := recoveryrpc.ReasonOf(err)
	require.True(s, ok, "%v", err)
	require.Equal(s, reason, got)
}
