package loopd

import (
	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
)

// refuseNil refuses the requests in which a message is missing that upstream
// reads without a look, and would panic. The list is complete: package
// internal/contract drives every method of upstream with every shape of its
// request, and a test compares what it found with what is refused here.
func refuseNil(req any) error {
	missing := ""
	switch req := req.(type) {
	case *looprpc.SetLiquidityParamsRequest:
		if req.Parameters == nil {
			missing = "parameters"
		}

	case *looprpc.LoopOutRequest:
		if req.AssetInfo != nil && req.AssetRfqInfo == nil {
			missing = "asset_rfq_info"
		}
	}
	if missing == "" {
		return nil
	}

	return recoveryrpc.StatusError(states.BadRequest, missing+" is missing")
}
