package itest

import (
	"testing"

	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/stretchr/testify/require"
)

// TestStoryBLostTwice: the machine was lost and restored, on an lnd that was
// rebuilt and is blind for the deposits since; then the disk with loopd's
// directory dies as well, and with it what loopd knew of that blindness. The
// script of the address is known to that lnd, so that the import is no news. If
// this breaks, the second restore ends well and shows no deposit.
func TestStoryBLostTwice(t *testing.T) {
	s := newStory(t)
	lost := s.newClient("lnd")
	loopd := s.newLoopd(regtest.LoopdConfig{Lnd: lost})
	s.start(loopd)
	deposits := s.pay(s.newAddress(loopd), 200_000, 300_000)
	s.waitDeposits(loopd, deposits...)
	saved := s.backup(loopd)

	s.lose(loopd)
	lnd := s.rebuild(lost, "lnd-rebuilt")
	loopd.SetLnd(lnd)
	for range 2 {
		s.plant(loopd, saved)
		s.startListening(loopd)
		run := s.waitReconciled(loopd)
		require.EqualValues(t, 500_000, s.summary(run).Unspent)
		s.waitRestored(loopd, deposits...)
		s.lose(loopd)
	}

	s.plant(loopd, saved)
	s.startListening(loopd)
	s.waitReconciled(loopd)
	s.waitSwept(lnd, deposits...)
	s.waitDeposits(loopd)
}
