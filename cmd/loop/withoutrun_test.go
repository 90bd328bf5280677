package main

import (
	"context"
	"strings"

	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// plan is the command that shows what a restore would do.
const plan = "loop recover --dry_run"

// afterChoice is a call that a plan makes between its choice of a file and its
// last look at it.
const afterChoice = "chain.BlockHash"

// withoutRun returns a situation without a recovery for each reason that has a
// next step of its own there.
func withoutRun() map[states.Reason]situation {
	place, run := placeSituations(), blockedSituations()

	return map[states.Reason]situation{
		states.AddressConflict: place[states.AddressConflict].planned(),
		states.TokenConflict:   place[states.TokenConflict].planned(),
		states.TokenPending:    place[states.TokenPending].planned(),
		states.PlaceUnreadable: place[states.PlaceUnreadable].planned(),
		states.OtherGenesis:    run[states.OtherGenesis].planned(),
		states.SwapsInFlight:   run[states.SwapsInFlight].planned(),
		states.WrongLnd:        permanent(states.WrongLnd),
		states.BirthdayAboveTip: situation{
			before: func(j *journey) {
				// Its block is not there yet.
				j.World.Backups.Put(twin.DataDir,
					j.World.NewContent("a", 0))
			},
			outside: func(j *journey) { j.World.Chain.Mine(7) },
		}.planned(),
		states.KeyNotDerivable: situation{
			before: func(j *journey) {
				content := j.lost("a")
				content.Address.ClientLocator.Index++
				j.file = j.take(j.World.Backups.Put(
					twin.DataDir, content,
				))
			},
			first: "loop recover --backup_file FILE",
		}.planned(),
		states.BackupChanged: situation{
			before: func(j *journey) {
				name := j.World.Backups.Put(
					twin.DataDir, j.lost("a"),
				)
				j.World.SetHook(func(_ context.Context,
					at twin.Point) error {

					if at.Call == afterChoice {
						j.World.Backups.Remove(name)
					}

					return nil
				})
			},
		}.planned(),
		states.JournalFailed: {
			before: func(j *journey) {
				j.Journal.SetHooks(func(int,
					recoveryfsm.Save) error {

					return &states.TransientError{
						Reason: states.JournalFailed,
						Err:    errDisk,
					}
				}, nil)
			},
			first: "loop recover",
			end:   func(*journey) {},
		},
	}
}

// planned turns a situation into one in which a restore is only planned, until
// nothing is in the way any more.
func (s situation) planned() situation {
	_, choice, _ := strings.Cut(s.first, "loop recover")
	s.first = plan + choice
	s.end = func(*journey) {}
	if s.outside == nil {
		return s
	}
	s.end = func(j *journey) {
		j.typed(s.first)
		require.Equal(j, exitOK, j.last.code, j.last.out)
	}

	return s
}
