package itest

import (
	"testing"

	"github.com/looprecovery/looprecovery/internal/failpoint"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// outcome is everything that a restore leaves behind and that must not depend
// on how often it was killed.
type outcome struct {
	// summary is the canonical result, byte for byte.
	summary string

	// token is the token's file.
	token string

	// address is the static address, as the database has it.
	address string

	// keys are lnd's key counters.
	keys map[int32]uint32
}

// killPasses are the points at which the restore is killed, in the order in
// which it comes by: in one pass in every state when its intent is saved and
// nothing is done, and again when all is done and nothing of it is saved; in
// the other between the effects of the states that have several.
func killPasses() map[string][]string {
	var points []string
	for _, state := range states.RestoreTable().Path {
		points = append(
			points, failpoint.Intent(state),
			failpoint.Outcome(state),
		)
	}

	return map[string][]string{
		"states": points,
		"effects": {
			failpoint.ImportTokenAfterLink,
			failpoint.RecreateAddressAfterAdvance,
			failpoint.RecreateAddressAfterImport,
			failpoint.RecreateAddressAfterRow,
			failpoint.ScanDepositsAfterCommit,
			failpoint.ScanDepositsAfterPublish,
			failpoint.ReconciledBeforeSummary,
		},
	}
}

// TestStoryDKilled: the restore is killed, as by a power cut or an impatient
// user, and loopd is started again, and killed again. In each pass lnd is as
// blind as after a loss and the directory as fresh. If this breaks, a restore
// that was disturbed ends with a second token, a second address row, keys that
// are handed out twice, or not at all.
func TestStoryDKilled(t *testing.T) {
	s := newStory(t)
	lost := s.newClient("lnd")
	loopd := s.newLoopd(regtest.LoopdConfig{Lnd: lost})
	s.start(loopd)
	deposits := s.pay(s.newAddress(loopd), 200_000, 300_000, 400_000)
	s.waitDeposits(loopd, deposits...)
	s.withdraw(loopd, deposits[0])
	live := deposits[1:]
	saved := s.backup(loopd)
	challenges := s.Swap.Challenges()

	s.lose(loopd)
	lnd := s.rebuild(lost, "lnd-rebuilt")
	loopd.SetLnd(lnd)
	blind := s.saveLnd(lnd)

	s.revertLnd(lnd, blind)
	s.plant(loopd, saved)
	s.startListening(loopd)
	undisturbed := s.outcome(loopd, lnd, live)

	for name, points := range killPasses() {
		if !t.Run(name, func(t *testing.T) {
			s := s.chapter(t)
			s.lose(loopd)
			s.revertLnd(lnd, blind)
			s.plant(loopd, saved)
			for _, point := range points {
				s.killAt(loopd, regtest.FailpointBinary, point)
			}
			s.startListening(loopd)
			require.Equal(t, undisturbed,
				s.outcome(loopd, lnd, live))
			require.Equal(t, challenges, s.Swap.Challenges(),
				"bought a token")
		}) {
			return
		}
	}
}

// killAt starts a program with failpoints and waits until it has killed itself
// at the point.
func (s *story) killAt(loopd *regtest.Loopd, binary, point string) {
	s.Helper()

	require.NoError(s, loopd.LaunchWithFailpoint(binary, point, ourArgs...))
	require.NoError(s, loopd.WaitKilled(regtest.DefaultTimeout), point)
}

// chapter is a part of a story that is a test of its own.
func (s *story) chapter(t *testing.T) *story {
	part := *s
	part.T = t

	return &part
}

// outcome waits for the end of the only recovery, checks that the deposits are
// listed, and returns what it left behind. It stops the daemon.
func (s *story) outcome(loopd *regtest.Loopd, lnd *regtest.Lnd,
	live []deposit) outcome {

	s.Helper()

	run := s.waitReconciled(loopd)
	require.EqualValues(s, 700_000, s.summary(run).Unspent)
	s.waitRestored(loopd, live...)
	require.Len(s, s.runs(loopd), 1, "another recovery was begun")
	result := outcome{
		summary: run.Summary,
		token:   string(s.token(loopd)),
		keys:    s.keyCounters(lnd),
	}

	s.stop(loopd)
	rows := s.addressRows(loopd)
	require.Len(s, rows, 1)
	result.address = string(rows[0].PkScript)

	return result
}

// runs returns all recoveries.
func (s *story) runs(loopd *regtest.Loopd) []*recoveryrpc.Run {
	s.Helper()

	conn, err := loopd.Dial()
	require.NoError(s, err)
	defer conn.Close()
	resp, err := recoveryrpc.NewRecoveryClient(conn).ListRecoveries(
		s.Context(), &recoveryrpc.ListRecoveriesRequest{},
	)
	require.NoError(s, err)

	return resp.Runs
}
