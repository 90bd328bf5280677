package contract

import (
	"strings"
	"testing"

	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/loop/staticaddr/staticutil"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/stretchr/testify/require"
)

// TestOutpointText holds how upstream reads the deposits that a request names:
// in more than one spelling. Ours are read by the same two functions.
func TestOutpointText(t *testing.T) {
	txid := strings.Repeat("ab", 32)
	want, err := wire.NewOutPointFromString(txid + ":1")
	require.NoError(t, err)

	for text, ok := range map[string]bool{
		strings.ToUpper(txid) + ":1": true,
		txid + ":01":                 true,
		txid + ":+1":                 false,
		" " + txid + ":1":            false,
		txid + ":1 ":                 false,
		txid + ":4294967296":         false,
		txid[2:] + ":1":              false,
		txid:                         false,
	} {
		got, err := wire.NewOutPointFromString(text)
		require.Equal(t, ok, err == nil, text)
		if ok {
			require.Equal(t, want, got, text)
		}
	}
}

// TestOutpointMessage holds that only the text of a transaction id counts in a
// message, whatever its bytes say.
func TestOutpointMessage(t *testing.T) {
	txid := strings.Repeat("ab", 32)
	got, err := staticutil.ToWireOutpoints([]*lnrpc.OutPoint{{
		TxidStr: strings.ToUpper(txid), TxidBytes: make([]byte, 32),
		OutputIndex: 1,
	}})
	require.NoError(t, err)
	require.Equal(t, txid+":1", got[0].String())

	_, err = staticutil.ToWireOutpoints([]*lnrpc.OutPoint{{
		TxidBytes: make([]byte, 32),
	}})
	require.Error(t, err)
}
