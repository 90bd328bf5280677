package itest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

const (
	// longScan is the number of blocks that a scan takes here at least.
	longScan = 20_000

	// longExpiry is a timeout that outlasts them.
	longExpiry = longScan + 5_000

	// catchUp is how many blocks an lnd has to catch up with at once.
	catchUp = 10_000

	// minSamples is the smallest number of answers that says something
	// about the slowest one in a hundred.
	minSamples = 200

	// maxLatency is what 99 of 100 answers may take at most.
	maxLatency = 100 * time.Millisecond

	// maxStaleness is how old an answer may be.
	maxStaleness = 2 * time.Second
)

// sample is one answer to a status call during a scan.
type sample struct {
	took   time.Duration
	at     time.Time
	height int32
}

// TestStatusWhileScanning measures how fast and how fresh the status is while
// more than twenty thousand blocks are scanned. If this breaks, somebody who
// watches a long recovery sees nothing move, or waits for each answer as long
// as the scan waits for lnd.
func TestStatusWhileScanning(t *testing.T) {
	s := newLongStory(t, longExpiry)
	loopd := s.newLoopd(regtest.LoopdConfig{})
	s.start(loopd)
	deposits := s.pay(s.newAddress(loopd), 200_000)
	s.waitDeposits(loopd, deposits...)
	s.stop(loopd)
	s.mineLong()
	s.start(loopd)

	samples, run := s.sampleScan(loopd)
	require.GreaterOrEqual(t, run.Coverage.Blocks, uint64(longScan))
	require.GreaterOrEqual(t, len(samples), minSamples)
	p99 := percentile(samples, 99)
	stale := staleness(samples)
	t.Logf("%d blocks scanned in %v: %d answers, 50%% within %v, 99%% "+
		"within %v, the slowest %v; at most %v old",
		run.Coverage.Blocks, samples[len(samples)-1].at.Sub(
			samples[0].at,
		).Round(time.Millisecond), len(samples),
		percentile(samples, 50), p99, percentile(samples, 100), stale)
	require.Less(t, p99, maxLatency)
	require.LessOrEqual(t, stale, maxStaleness)
	s.waitDeposits(loopd, deposits...)
}

// mineLong mines the blocks of a long scan. The lnds are stopped meanwhile: to
// catch up is faster for them than to follow, and only the client's is needed
// from here on.
func (s *story) mineLong() {
	s.Helper()

	began := time.Now()
	require.NoError(s, s.Server.Stop())
	for range longScan / catchUp {
		require.NoError(s, s.Client.Stop())
		_, err := s.Btcd.Mine(s.Context(), catchUp)
		require.NoError(s, err)
		require.NoError(s, s.Client.Start(s.Context()))
	}
	s.Logf("%d blocks mined and followed in %v", longScan,
		time.Since(began).Round(time.Millisecond))
}

// sampleScan begins a rescan and asks for its status, one call after the other,
// for as long as it scans. It returns the answers, and the run when it had
// ended.
func (s *story) sampleScan(loopd *regtest.Loopd) ([]sample, *recoveryrpc.Run) {
	s.Helper()

	conn, err := loopd.Dial()
	require.NoError(s, err)
	defer conn.Close()
	client := recoveryrpc.NewRecoveryClient(conn)
	ctx, cancel := context.WithTimeout(
		s.Context(), 2*regtest.DefaultTimeout,
	)
	defer cancel()
	started, err := client.StartRecovery(
		ctx, &recoveryrpc.StartRecoveryRequest{
			Kind: string(states.Rescan),
		},
	)
	require.NoError(s, err)

	var samples []sample
	for {
		began := time.Now()
		resp, err := client.GetRecovery(
			ctx, &recoveryrpc.GetRecoveryRequest{
				Id: started.Run.Id,
			},
		)
		now := time.Now()
		require.NoError(s, err)
		require.NotEqual(s, string(states.Blocked), resp.Run.State)
		if resp.Run.Finished {
			return samples, resp.Run
		}
		if resp.Run.State == string(states.ScanDeposits) {
			samples = append(samples, sample{
				took: now.Sub(began), at: now,
				height: resp.Run.GetProgress().GetHeight(),
			})
		}
	}
}

// percentile returns the time within which so many of a hundred answers came.
func percentile(samples []sample, percent int) time.Duration {
	times := make([]time.Duration, 0, len(samples))
	for _, sample := range samples {
		times = append(times, sample.took)
	}
	slices.Sort(times)

	return times[(len(times)*percent+99)/100-1]
}

// staleness returns the longest time for which the answers showed one height.
// The scan never stands still, so that none of them was older than that.
func staleness(samples []sample) time.Duration {
	var longest time.Duration
	since := samples[0].at
	for i, sample := range samples {
		if i > 0 && sample.height != samples[i-1].height {
			since = sample.at
		}
		longest = max(longest, sample.at.Sub(since))
	}

	return longest
}
