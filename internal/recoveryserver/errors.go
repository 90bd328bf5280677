package recoveryserver

import (
	"encoding/hex"
	"errors"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/gate"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// tokenIDLength is the length of a token id in hex digits.
const tokenIDLength = 64

// parseTokenID returns a token id as facts hold it.
func parseTokenID(text string) (string, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(text) != tokenIDLength {
		return "", badRequest("a token id has 64 hex digits")
	}

	return hex.EncodeToString(raw), nil
}

// badRequest refuses a request that makes no sense.
func badRequest(detail string) error {
	return recoveryrpc.StatusError(states.BadRequest, detail)
}

// rpcError turns an error of the engine or of a port into a status.
func (s *Server) rpcError(err error) error {
	switch {
	case errors.Is(err, backup.ErrReceivedFull):
		return status.Error(codes.ResourceExhausted, err.Error())

	case errors.Is(err, backup.ErrNotSayable):
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	if reason, detail := reasonOf(err); reason != "" {
		return recoveryrpc.StatusError(reason, detail)
	}

	return status.Error(codes.Internal, err.Error())
}

// reasonOf returns the reason that an error of the engine or of a port stands
// for, and the thing concerned; an empty reason if it is none of those we know.
func reasonOf(err error) (states.Reason, string) {
	var (
		blocked  *actions.BlockError
		refused  *recoveryfsm.RefusedError
		conflict *backup.ConflictError
		busy     *gate.BusyError
	)
	switch {
	case errors.As(err, &conflict):
		return states.BackupConflict, conflict.Path

	case errors.As(err, &refused):
		return refused.Reason, refused.RunID

	case errors.Is(err, recoveryfsm.ErrStopped),
		errors.Is(err, gate.ErrEnded):

		return states.Starting, "loopd is stopping"

	case errors.As(err, &blocked):
		return blocked.Reason, blocked.Detail

	case errors.As(err, &busy):
		return states.SwapsInFlight, busy.Task

	default:
		cause, _ := states.CauseOf(err)

		return cause.Reason, cause.Detail
	}
}
