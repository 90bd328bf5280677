package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The fields of the runs below.
const (
	testID = "3f0c9e12"

	testAddress = "bcrt1pqqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk" +
		"8qarc0sj9hjuh"
)

var (
	testToken = strings.Repeat("ab", 32)
	testOther = strings.Repeat("cd", 32)
	testHash  = strings.Repeat("ef", 32)
	testPath  = "/data/.loop/regtest/loop_recovery_1795000000000000000_" +
		testToken + ".lrb"
)

// at returns a time of day.
func at(hour, minute, second int) *timestamppb.Timestamp {
	return timestamppb.New(
		time.Date(2026, 11, 22, hour, minute, second, 0, time.UTC),
	)
}

// runIn returns a restore as it looks in a state.
func runIn(t *testing.T, state states.State) *recoveryrpc.Run {
	t.Helper()

	run := &recoveryrpc.Run{
		Id: testID, Kind: string(states.Restore), Version: 1,
		State:   string(state),
		Created: at(22, 30, 0), Updated: at(22, 31, 5),
	}

	path := states.RestoreTable().Path
	reached := func(wanted states.State) bool {
		for _, passed := range path {
			if passed == wanted {
				return true
			}
			if passed == state {
				return false
			}
		}

		return false
	}
	for i, passed := range path {
		if passed == state {
			run.LastSeq = uint64(i + 1)
		}
	}

	if state == states.Start {
		return run
	}
	if reached(states.Decrypt) {
		run.Backup = &recoveryrpc.LocatedBackup{
			Path: testPath, Sha256: testHash, TokenId: testToken,
			Others: []string{testOther},
		}
	}
	if reached(states.VerifyNetwork) {
		run.Generation = testGeneration()
	}
	if reached(states.ImportToken) {
		run.Birthday = 812_345
	}
	if reached(states.RecreateAddress) {
		run.Effects = &recoveryrpc.Effects{TokenPlaced: true}
	}
	if reached(states.ScanDeposits) {
		run.Effects.ScriptImported = true
		run.Effects.RowCreated = true
		run.Progress = &recoveryrpc.Progress{
			Height: 818_672, Birthday: 812_345, Tip: 825_000,
			Outputs: 2, BlocksPerSecond: 1_123.4,
			EtaSeconds: 245,
		}
	}
	if reached(states.Reconciled) {
		run.Progress.Height = 825_000
		run.Progress.Outputs = 3
		run.Effects.KeysAdvanced = []*recoveryrpc.KeysAdvanced{
			{Family: 42060, Keys: 1_004},
		}
		run.Coverage = testCoverage()
	}

	return run
}

// testGeneration returns what the runs restore.
func testGeneration() *recoveryrpc.Generation {
	return &recoveryrpc.Generation{
		Network: "regtest", TokenId: testToken,
		TokenCreated: at(10, 0, 0), Address: testAddress,
		KeyFamily: 42060, KeyIndex: 3, Expiry: 14_400,
		FirstHeight: 812_489,
	}
}

// testCoverage returns the evidence of a scan.
func testCoverage() *recoveryrpc.Coverage {
	return &recoveryrpc.Coverage{
		Families: []*recoveryrpc.FamilyCoverage{
			{Family: 42060, Fixed: true, Used: 4, Tested: 1},
			{Family: 42061, Used: 1, Tested: 21},
			{Family: 42062, Tested: 20},
		},
		Birthday: 812_345, TipHeight: 825_000,
		TipHash: strings.Repeat("0", 56) + "12345678",
		Source:  "lnd", Passes: 2, Blocks: 25_312,
	}
}

// finishedRun returns a run that has reached its end. Its summary is made by
// the type that makes it in the daemon.
func finishedRun(t *testing.T) *recoveryrpc.Run {
	t.Helper()

	canonical, err := json.Marshal(actions.Summary{
		TokenID: testToken, Network: "regtest", Address: testAddress,
		KeyFamily: 42060, KeyIndex: 3, Expiry: 14_400,
		Outputs: []actions.SummaryOutput{{
			OutPoint: strings.Repeat("11", 32) + ":0",
			Value:    250_000, Height: 812_500,
			KeyFamily: 42060, KeyIndex: 3,
			SpendTxID:   strings.Repeat("22", 32),
			SpendHeight: 813_000,
		}, {
			OutPoint: strings.Repeat("33", 32) + ":1",
			Value:    1_000_000, Height: 820_001,
			KeyFamily: 42060, KeyIndex: 3,
		}, {
			OutPoint: strings.Repeat("44", 32) + ":12",
			Value:    999, Height: 824_999,
			KeyFamily: 42061,
		}},
		Unspent: 1_000_999,
	})
	require.NoError(t, err)

	run := runIn(t, states.Reconciled)
	run.Finished = true
	run.Summary = string(canonical)

	return run
}

// blockedRun returns a run that waits for a person.
func blockedRun(t *testing.T, reason states.Reason) *recoveryrpc.Run {
	t.Helper()

	text := states.Explain(reason)
	run := runIn(t, states.Decrypt)
	run.State = string(states.Blocked)
	run.BlockedFrom = string(states.Decrypt)
	run.Reason = string(reason)
	run.Detail = testPath
	run.Sentence = text.Sentence
	run.Untouched = text.Untouched
	run.NextCommand = text.Next
	run.LastSeq = 3

	return run
}

// history returns the events of an undisturbed restore up to a state.
func history(last states.State) []*recoveryrpc.Event {
	events := []*recoveryrpc.Event{{
		Seq: 1, Time: at(22, 30, 0), From: string(states.Start),
		Event: string(states.Begin),
		To:    string(states.LocateBackup),
	}}

	path := states.RestoreTable().Path
	for i := 0; i+1 < len(path) && path[i] != last; i++ {
		events = append(events, &recoveryrpc.Event{
			Seq: uint64(i + 2), Time: at(22, 30, i),
			From: string(path[i]), Event: string(states.Done),
			To: string(path[i+1]),
		})
	}

	return events
}
