package sourcetest

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// Node answers JSON-RPC batches over a chain as btcd or bitcoind does: the
// shapes are those of their answers. It is an http.Handler.
type Node struct {
	Chain *Chain

	// Bitcoind chooses bitcoind's methods instead of btcd's, NoFilters
	// takes the index of filters away, and Pruned the blocks.
	Bitcoind, NoFilters, Pruned bool

	// User and Password are needed to get in.
	User, Password string
}

// rpcError is an error as it is sent.
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// The answers of a node that has not what it was asked for.
var (
	errMethod  = &rpcError{-32601, "Method not found"}
	errIndex   = &rpcError{-1, "the index must be enabled"}
	errPruned  = &rpcError{-1, "Block not available (pruned data)"}
	errUnknown = &rpcError{-5, "Block not found"}
	errHeight  = &rpcError{-8, "Block height out of range"}
)

// ServeHTTP answers a batch.
func (n *Node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if user != n.User || password != n.Password {
		w.WriteHeader(http.StatusUnauthorized)

		return
	}

	var calls []struct {
		ID     int               `json:"id"`
		Method string            `json:"method"`
		Params []json.RawMessage `json:"params"`
	}
	if err := json.NewDecoder(r.Body).Decode(&calls); err != nil {
		w.WriteHeader(http.StatusBadRequest)

		return
	}

	// A node need not answer in the order of the calls.
	answers := make([]map[string]any, len(calls))
	for i, call := range calls {
		result, failure := n.answer(call.Method, call.Params)
		answers[len(calls)-1-i] = map[string]any{
			"jsonrpc": "2.0", "id": call.ID, "result": result,
			"error": failure,
		}
	}
	_ = json.NewEncoder(w).Encode(answers)
}

// answer answers one call.
func (n *Node) answer(method string, params []json.RawMessage) (any,
	*rpcError) {

	tip := len(n.Chain.blocks) - 1
	best := n.Chain.blocks[tip].BlockHash().String()
	switch method {
	case "getbestblockhash":
		return best, nil

	case "getblockchaininfo":
		return map[string]any{
			"blocks": tip, "bestblockhash": best,
		}, nil

	case "getblockhash":
		var height int
		if json.Unmarshal(params[0], &height) != nil || height < 0 ||
			height > tip {

			return nil, errHeight
		}

		return n.Chain.blocks[height].BlockHash().String(), nil
	}

	return n.answerBlock(method, params)
}

// answerBlock answers a call about the block that its first parameter names.
func (n *Node) answerBlock(method string, params []json.RawMessage) (any,
	*rpcError) {

	known := map[string]bool{
		"getblock": true, "getblockheader": true,
		"getblockfilter": n.Bitcoind, "getcfilter": !n.Bitcoind,
		"getcfilterheader": !n.Bitcoind,
	}
	if !known[method] {
		return nil, errMethod
	}

	var text string
	if err := json.Unmarshal(params[0], &text); err != nil {
		return nil, errUnknown
	}
	hash, err := chainhash.NewHashFromStr(text)
	if err != nil {
		return nil, errUnknown
	}
	height, ok := n.Chain.heights[*hash]
	if !ok {
		return nil, errUnknown
	}
	filtered := &n.Chain.filters[height]

	switch {
	case method == "getblock" && n.Pruned:
		return nil, errPruned

	case method == "getblock":
		raw, _ := n.Chain.Block(context.Background(), *hash)

		return hex.EncodeToString(raw), nil

	case method == "getblockheader":
		return hex.EncodeToString(filtered.Header), nil

	case n.NoFilters:
		return nil, errIndex

	case method == "getcfilter":
		return hex.EncodeToString(filtered.Filter), nil

	case method == "getcfilterheader":
		return filtered.FilterHeader.String(), nil
	}

	return map[string]any{
		"filter": hex.EncodeToString(filtered.Filter),
		"header": filtered.FilterHeader.String(),
	}, nil
}
