package sourcetest

import "testing"

// TestChain: the chain in memory passes the suite itself.
func TestChain(t *testing.T) {
	t.Parallel()

	chain := NewChain(30)
	TestSource(t, chain, chain)
	TestFilters(t, chain, chain)
}
