package main

import (
	"errors"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// situations returns one for each reason.
func situations() map[states.Reason]situation {
	all := make(map[states.Reason]situation)
	for _, some := range []map[states.Reason]situation{
		fileSituations(), blockedSituations(), placeSituations(),
		refusedSituations(), daemonSituations(), addressSituations(),
	} {
		for reason, scene := range some {
			all[reason] = scene
		}
	}

	return all
}

// fileSituations are files that a person sends and that are not in order.
func fileSituations() map[states.Reason]situation {
	// What cannot be made here is refused by name, once.
	refusing := func(reason states.Reason) situation {
		scene := fileSituation(func(j *journey) string {
			j.startRefusal = reason

			return j.write("file", []byte("file"))
		})
		scene.outside = func(j *journey) {
			j.startRefusal = ""
			j.file = j.take(j.World.Backups.Put(
				twin.DataDir, j.lost("readable"),
			))
		}

		return scene
	}
	newer := refusing(states.NewerVersion)
	newer.end = reconciled

	return map[states.Reason]situation{
		states.NewerVersion:     newer,
		states.BackupIncomplete: refusing(states.BackupIncomplete),
		states.NotABackup: fileSituation(func(j *journey) string {
			return j.write("photo.jpg", []byte("not a backup"))
		}),
		states.BackupCorrupt: fileSituation(func(j *journey) string {
			name := j.World.Backups.Put(twin.DataDir, j.lost("a"))
			data, _ := j.World.Disk.Read(name)
			data = append([]byte(nil), data...)
			data[len(data)-1] ^= 1
			j.World.Backups.Remove(name)

			return j.write("copy", data)
		}),
		states.OtherSeed: fileSituation(func(j *journey) string {
			j.World.Lnd.Replace("mallory")
			name := j.World.Backups.Put(twin.DataDir, j.lost("m"))
			j.World.Lnd.Replace("client")

			return j.take(name)
		}),
		states.DoesNotOpen: fileSituation(func(j *journey) string {
			j.World.Lnd.Replace("mallory")
			name := j.World.Backups.PutOlder(
				twin.DataDir, j.lost("m"),
			)
			j.World.Lnd.Replace("client")

			return j.take(name)
		}),
		states.OtherNetwork: fileSituation(func(j *journey) string {
			content := j.lost("a")
			content.Network = "testnet"

			return j.take(j.World.Backups.Put(
				twin.DataDir, content,
			))
		}),
		states.NameMismatch: {
			before: func(j *journey) {
				content := j.lost("a")
				name := j.World.Backups.Put(
					twin.DataDir, content,
				)
				data, _ := j.World.Disk.Read(name)
				j.World.Backups.Remove(name)
				j.file = j.write(backup.FileName(
					[32]byte{1}, content.TokenCreated,
				), data)
			},
			first: "loop recover --backup_file FILE",
			outside: func(j *journey) {
				j.file = j.take(j.World.Backups.Put(
					twin.DataDir, j.lost("b"),
				))
			},
			end: reconciled,
		},
	}
}

// plant puts a run into the journal that is blocked for a reason whose cause is
// gone, and a backup to restore from.
func plant(reason states.Reason, change func(*recoveryfsm.Run)) situation {
	return situation{
		before: func(j *journey) {
			j.World.Backups.Put(twin.DataDir, j.lost("a"))
			j.plant(reason, change)
		},
		first: "loop recover status",
		end:   reconciled,
	}
}

// plant puts a blocked run into the journal.
func (j *journey) plant(reason states.Reason,
	change func(*recoveryfsm.Run)) {

	j.Helper()

	now := time.Now()
	run := recoveryfsm.Run{
		ID: "0123456789abcdef0123456789abcdef", Kind: states.Restore,
		Version: 1, State: states.Blocked,
		BlockedFrom: states.LocateBackup, Reason: reason,
		Created: now, Updated: now,
	}
	if change != nil {
		change(&run)
	}
	require.NoError(j, j.Journal.CreateRun(j.Context(), run))
}

// blockedSituations are runs that wait for a person.
func blockedSituations() map[states.Reason]situation {
	return map[states.Reason]situation{
		states.KeyNotDerivable:  plant(states.KeyNotDerivable, nil),
		states.BirthdayAboveTip: plant(states.BirthdayAboveTip, nil),
		states.BackupChanged:    plant(states.BackupChanged, nil),
		states.CrashLoop:        plant(states.CrashLoop, nil),
		states.WrongLnd:         plant(states.WrongLnd, nil),
		states.UnknownDefinition: {
			before: func(j *journey) {
				j.plant("", func(run *recoveryfsm.Run) {
					run.Version = 99
					run.State = states.LocateBackup
					run.BlockedFrom = ""
				})
				require.NoError(j, j.Engine.Continue(
					j.Context(),
				))
			},
			first: "loop recover status",
			end:   up,
		},
		states.OtherGenesis: {
			before: func(j *journey) {
				j.World.Backups.Put(twin.DataDir, j.lost("a"))
				j.World.Chain.SetGenesis(&chainhash.Hash{1})
			},
			first: "loop recover",
			outside: func(j *journey) {
				j.World.Chain.SetGenesis(nil)
			},
			end: reconciled,
		},
		states.BlocksUnavailable: {
			before: func(j *journey) {
				j.World.Backups.Put(twin.DataDir, j.lost("a"))
				j.World.Chain.Prune(
					j.World.Chain.Tip().Height,
				)
			},
			first:   "loop recover",
			outside: func(j *journey) { j.World.Chain.Unprune() },
			end:     reconciled,
		},
		states.SwapsInFlight: {
			before: func(j *journey) {
				j.World.Backups.Put(twin.DataDir, j.lost("a"))
				j.World.Gate.SetBusy(true)
			},
			first: "loop recover",
			outside: func(j *journey) {
				j.World.Gate.SetBusy(false)
			},
			end: reconciled,
		},
		states.JournalFailed: {
			before: func(j *journey) {
				j.World.Backups.Put(twin.DataDir, j.lost("a"))
				j.Journal.SetHooks(func(_ int,
					save recoveryfsm.Save) error {

					if save == recoveryfsm.SaveIntent {
						return errDisk
					}

					return nil
				}, nil)
			},
			first: "loop recover",
			outside: func(j *journey) {
				j.Journal.SetHooks(nil, nil)
			},
			end: reconciled,
		},
	}
}

// placeSituations are places and directories with something in the way.
func placeSituations() map[states.Reason]situation {
	return map[states.Reason]situation{
		states.NoBackupFound: {
			before: func(j *journey) {
				j.file = j.take(j.World.Backups.Put(
					twin.DataDir, j.lost("a"),
				))
			},
			first: "loop recover",
			end:   reconciled,
		},
		states.PlaceUnreadable: {
			before: func(j *journey) {
				j.World.Backups.Put(twin.SecondDir, j.lost("a"))
				j.World.Disk.Break(twin.SecondDir, errDisk)
			},
			first: "loop recover",
			outside: func(j *journey) {
				j.World.Disk.Break(twin.SecondDir, nil)
			},
			end: reconciled,
		},
		states.BackupConflict: {
			before: func(j *journey) {
				content := j.lost("a")
				other := *content
				other.Address.Expiry++
				j.World.Backups.Put(twin.SecondDir, &other)
				name := j.World.Backups.Put(
					twin.DataDir, content,
				)
				data, _ := j.World.Disk.Read(name)
				j.file = j.write("right.lrb", data)
			},
			first: "loop recover",
			end:   reconciled,
		},
		states.TokenConflict: {
			before: func(j *journey) {
				j.file = j.take(j.World.Backups.Put(
					twin.DataDir, j.lost("lost"),
				))
				j.install(j.World.NewContent("here", 1))
			},
			first: "loop recover --backup_file FILE",
			end:   up,
		},
		states.AddressConflict: {
			before: func(j *journey) {
				j.file = j.take(j.World.Backups.Put(
					twin.DataDir, j.lost("lost"),
				))
				j.install(j.World.NewContent("here", 1))
				j.World.Tokens.Lose()
			},
			first: "loop recover --backup_file FILE",
			end:   up,
		},
		states.TokenPending: {
			before: func(j *journey) {
				content := j.lost("a")
				j.World.Backups.Put(twin.DataDir, content)
				j.World.Tokens.Put(twin.NewToken(
					"a", content.TokenCreated, false,
				))
				// The next call to the server settles it.
				j.foreign = func([]string) error {
					j.World.Tokens.Lose()

					return nil
				}
			},
			first: "loop recover",
			end:   reconciled,
		},
		states.NothingToRescan: {
			before: func(j *journey) {
				j.World.Backups.Put(twin.DataDir, j.lost("a"))
			},
			first: "loop recover rescan",
			end:   reconciled,
		},
		states.NothingToBackUp: {
			first: "loop backup create",
			before: func(j *journey) {
				j.foreign = func([]string) error {
					j.install(j.lost("new"))

					return nil
				}
			},
			end: func(j *journey) {
				j.typed("loop backup create")
				explained(j)
			},
		},
	}
}

// refusedSituations are calls that contradict what is there.
func refusedSituations() map[states.Reason]situation {
	return map[states.Reason]situation{
		// What stands in the way leads on by its own reason.
		states.AlreadyRunning: {
			before: func(j *journey) {
				j.World.Backups.Put(twin.DataDir, j.lost("a"))
				j.plant(states.CrashLoop,
					func(run *recoveryfsm.Run) {
						run.Facts.Effects.RowCreated =
							true
					})
			},
			first: "loop recover",
			end:   reconciled,
		},
		states.RecoveryActive: {
			before: func(j *journey) {
				j.World.Backups.Put(twin.DataDir, j.lost("a"))
				j.plant(states.CrashLoop, nil)
				j.World.Gate.Set(true)
			},
			end: reconciled,
		},
		states.NotBlocked: {
			before: func(j *journey) {
				j.plant("", func(run *recoveryfsm.Run) {
					run.State = states.LocateBackup
					run.BlockedFrom = ""
				})
			},
			first: "loop recover resume",
			end:   explained,
		},
		states.AlreadyFinished: {
			before: func(j *journey) {
				j.finish(j.take(j.World.Backups.Put(
					twin.DataDir, j.lost("a"),
				)))
			},
			first: "loop recover resume",
			end:   explained,
		},
		states.NoSuchRun: {
			first: "loop recover status none",
			end:   explained,
		},
		states.Superseded: {end: explained},
		states.BadRequest: {
			before: func(j *journey) {
				j.startRefusal = states.BadRequest
			},
			first: "loop recover",
			end:   explained,
		},
	}
}

// daemonSituations are causes outside, for which the swap client is not up.
func daemonSituations() map[states.Reason]situation {
	all := make(map[states.Reason]situation)
	for _, reason := range []states.Reason{
		states.DatabaseNewer, states.DatabaseDirty,
		states.DatabaseDamaged, states.DatabaseRefuses,
		states.LndRefuses, states.LndUnreachable,
		states.LndUnsuitable, states.MacaroonsDamaged,
		states.JournalNewer,
	} {
		all[reason] = permanent(reason)
	}
	for _, reason := range []states.Reason{
		states.DatabaseDown, states.Starting, states.Standby,
		states.LockLost,
	} {
		all[reason] = passing(reason)
	}

	// Before lnd was unlocked nobody is told more than the reason.
	for _, reason := range []states.Reason{
		states.LndDown, states.LndLocked,
	} {
		all[reason] = situation{
			before:  func(j *journey) { j.refusal = reason },
			first:   "loop recover status",
			outside: func(j *journey) { j.refusal = "" },
			end:     up,
		}
	}

	// Who does not want to wait says so.
	awaited := permanent(states.BackupAwaited)
	awaited.outside = nil
	all[states.BackupAwaited] = awaited
	unanswered := permanent(states.PlacesUnanswered)
	unanswered.outside, unanswered.first = nil, ""
	all[states.PlacesUnanswered] = unanswered

	return all
}

// addressSituations are told by upstream's commands, which pass our error on.
func addressSituations() map[states.Reason]situation {
	asked := situation{
		before: func(j *journey) {
			j.foreign = func(args []string) error {
				if args[len(args)-1] != "new" {
					return errors.New("not asked again")
				}
				j.install(j.lost("a"))

				return nil
			}
		},
		end: explained,
	}

	return map[states.Reason]situation{
		states.NotProtected:     asked,
		states.AddressUnwatched: asked,
		states.DepositUnverified: {
			before: func(j *journey) { j.install(j.lost("a")) },
			end:    reconciled,
		},
		states.PairUnproven: {
			before: func(j *journey) {
				content := j.lost("a")
				j.install(content)
				j.World.Tokens.Put(twin.NewToken(
					"later", content.TokenCreated.Add(
						1000*time.Hour), true,
				))
			},
			first: "loop backup create",
			end:   explained,
		},
	}
}
