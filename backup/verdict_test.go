package backup

import (
	"testing"

	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// TestVerdictList checks that the list of verdicts is closed, and that each but
// OK has a reason with its texts and an exit code of its own: scripts go by it.
func TestVerdictList(t *testing.T) {
	require.Len(t, verdicts, len(Verdicts()))

	reasons, codes := map[states.Reason]bool{}, map[int]bool{}
	for _, verdict := range Verdicts() {
		require.Contains(t, verdicts, verdict)
		reason, code := verdict.Reason(), verdict.ExitCode()
		require.False(t, reasons[reason], reason)
		require.False(t, codes[code], code)
		reasons[reason], codes[code] = true, true

		if verdict == OK {
			require.Zero(t, code)
			continue
		}
		require.NotZero(t, code)
		require.Contains(t, states.Reasons(), reason)
		require.NotEmpty(t, states.Explain(reason).Next)
	}

	require.Equal(
		t, NotABackup.ExitCode(), Verdict("unheard of").ExitCode(),
	)
}
