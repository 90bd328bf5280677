package recoveryrpc

import (
	"errors"
	"fmt"
	"testing"

	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestStatusError checks that a caller finds the code, a sentence, the reason
// and the detail in an error, also when something wrapped it.
func TestStatusError(t *testing.T) {
	sent := StatusError(states.NoSuchRun, "run 7")
	require.Equal(t, codes.NotFound, status.Code(sent))

	sentence := states.Explain(states.NoSuchRun).Sentence
	require.Equal(t, sentence+" (run 7)", status.Convert(sent).Message())

	for _, err := range []error{sent, fmt.Errorf("wrapped: %w", sent)} {
		reason, ok := ReasonOf(err)
		require.True(t, ok)
		require.Equal(t, states.NoSuchRun, reason)
		require.Equal(t, "run 7", DetailOf(err))
	}
}

// TestReasonOfOthers checks that errors which are not ours, or carry the
// ErrorInfo of another domain, yield no reason.
func TestReasonOfOthers(t *testing.T) {
	foreign, err := status.New(codes.Internal, "x").WithDetails(
		&errdetails.ErrorInfo{
			Reason: string(states.NoSuchRun), Domain: "elsewhere",
		},
	)
	require.NoError(t, err)

	others := []error{
		nil, errors.New("x"), status.Error(codes.Internal, "x"),
		foreign.Err(),
	}
	for _, other := range others {
		_, ok := ReasonOf(other)
		require.False(t, ok, "%v", other)
		require.Empty(t, DetailOf(other))
	}
}
