package itest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/stretchr/testify/require"
)

// waitProven waits until nothing is unproven of what lnd's wallet sees.
func (s *story) waitProven(loopd *regtest.Loopd) {
	s.Helper()

	err := regtest.Eventually(s.Context(), "the proof",
		regtest.DefaultTimeout, func(ctx context.Context) error {
			resp, err := recovery(ctx, loopd)
			if err != nil {
				return err
			}
			if warned(resp, blindCode) {
				return fmt.Errorf("%w: %v", errNotYet,
					resp.Warnings)
			}

			return nil
		})
	require.NoError(s, err)
}

// TestStoryCByItself: lnd's machine is gone, loopd's directory is not; one of
// its deposits was spent since. Nobody types anything: the chain is searched by
// itself, after which the deposits can be spent and go home.
func TestStoryCByItself(t *testing.T) {
	s := newStory(t)
	lost := s.newClient("lnd")
	loopd := s.newLoopd(regtest.LoopdConfig{Lnd: lost})
	s.start(loopd)
	deposits := s.pay(s.newAddress(loopd), 200_000, 300_000, 400_000)
	s.waitDeposits(loopd, deposits...)
	s.spendBehind(loopd, deposits[2])

	lnd := s.rebuild(lost, "lnd-rebuilt")
	loopd.SetLnd(lnd)
	s.start(loopd)
	s.waitDeposits(loopd, deposits[:2]...)
	s.waitProven(loopd)
	require.Nil(t, s.recovery(loopd).Run, "a recovery was begun unasked")

	s.withdraw(loopd, deposits[0])
	s.waitDeposits(loopd, deposits[1])
	s.waitSwept(lnd, deposits[1])
	s.waitDeposits(loopd)
}

// TestStoryCBehindOneAddress: lnd is a container that lost its volume and is
// made again from its words behind the same address, while loopd keeps running.
// If this breaks, neither the deposits nor what is paid later is seen, without
// a word, until somebody restarts loopd.
func TestStoryCBehindOneAddress(t *testing.T) {
	s := newStory(t)
	lnd := s.newClient("lnd")
	loopd := s.newLoopd(regtest.LoopdConfig{Lnd: lnd})
	s.start(loopd)
	address := s.newAddress(loopd)
	deposits := s.pay(address, 200_000, 300_000)
	s.waitDeposits(loopd, deposits...)

	require.NoError(t, lnd.Recreate(t.Context(), lnd.Words()))
	s.waitDeposits(loopd, deposits...)
	later := s.pay(address, 400_000)
	s.waitDeposits(loopd, append(deposits, later...)...)
	s.waitProven(loopd)

	s.withdraw(loopd, deposits[0])
	s.waitDeposits(loopd, append(deposits[1:], later...)...)
}

// TestStoryCLedgerLost: lnd was rebuilt, and recovery.db is gone as well. No
// memory is left that anything was ever unseen.
func TestStoryCLedgerLost(t *testing.T) {
	s := newStory(t)
	lost := s.newClient("lnd")
	loopd := s.newLoopd(regtest.LoopdConfig{Lnd: lost})
	s.start(loopd)
	deposits := s.pay(s.newAddress(loopd), 200_000, 300_000)
	s.waitDeposits(loopd, deposits...)

	lnd := s.rebuild(lost, "lnd-rebuilt")
	loopd.SetLnd(lnd)
	for range 2 {
		s.stop(loopd)
		journals, err := filepath.Glob(filepath.Join(
			loopd.DataDir(), "recovery.db*",
		))
		require.NoError(t, err)
		require.NotEmpty(t, journals)
		for _, journal := range journals {
			require.NoError(t, os.RemoveAll(journal))
		}
		s.start(loopd)
		s.waitDeposits(loopd, deposits...)
		s.waitProven(loopd)
	}
	s.waitSwept(lnd, deposits...)
	s.waitDeposits(loopd)
}
