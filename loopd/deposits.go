package loopd

import (
	"fmt"

	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/loop/looprpc"
	"github.com/lightninglabs/loop/staticaddr/staticutil"
)

// namedDeposits returns the deposits that a request spends by name, or none if
// it leaves the choice to the embedded daemon. It reads a request with the
// functions with which upstream reads it: one that is understood in two ways
// would spend a deposit that was not recognised.
func namedDeposits(req any) ([]wire.OutPoint, error) {
	switch req := req.(type) {
	case *looprpc.WithdrawDepositsRequest:
		if req.All {
			return nil, nil
		}

		return staticutil.ToWireOutpoints(req.Outpoints)

	case *looprpc.StaticAddressLoopInRequest:
		return parseOutpoints(req.Outpoints)

	case *looprpc.StaticOpenChannelRequest:
		return staticutil.ToWireOutpoints(
			req.GetOpenChannelRequest().GetOutpoints(),
		)

	default:
		return nil, fmt.Errorf("a %T names no deposits", req)
	}
}

// parseOutpoints reads deposits given as text.
func parseOutpoints(texts []string) ([]wire.OutPoint, error) {
	result := make([]wire.OutPoint, 0, len(texts))
	for _, text := range texts {
		outpoint, err := wire.NewOutPointFromString(text)
		if err != nil {
			return nil, fmt.Errorf("deposit %q: %w", text, err)
		}
		result = append(result, *outpoint)
	}

	return result, nil
}
