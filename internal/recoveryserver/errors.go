package recoveryserver

import (
	"encoding/hex"
	"errors"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// tokenIDLength is the length of a token id in hex digits.
const tokenIDLength = 64

// PlaceErrors returns the parts of an error that name a backup place.
func PlaceErrors(err error) []*backup.PlaceError {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var result []*backup.PlaceError
		for _, part := range joined.Unwrap() {
			result = append(result, PlaceErrors(part)...)
		}

		return result
	}

	var place *backup.PlaceError
	if errors.As(err, &place) {
		return []*backup.PlaceError{place}
	}

	return nil
}

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
	var (
		blocked  *actions.BlockError
		refused  *recoveryfsm.RefusedError
		conflict *backup.ConflictError

		permanent *states.PermanentError
	)
	switch {
	case errors.As(err, &conflict):
		return recoveryrpc.StatusError(
			states.BackupConflict, conflict.Path,
		)

	case errors.Is(err, backup.ErrReceivedFull):
		return status.Error(codes.ResourceExhausted, err.Error())

	case errors.Is(err, backup.ErrNotSayable):
		return status.Error(codes.FailedPrecondition, err.Error())

	case errors.As(err, &refused):
		return recoveryrpc.StatusError(refused.Reason, refused.RunID)

	case errors.Is(err, recoveryfsm.ErrStopped):
		return recoveryrpc.StatusError(
			states.Starting, "loopd is stopping",
		)

	case errors.As(err, &blocked):
		return recoveryrpc.StatusError(blocked.Reason, blocked.Detail)

	case errors.As(err, &permanent):
		return recoveryrpc.StatusError(
			permanent.Reason, permanent.Detail,
		)
	}

	if waiting := s.cfg.Waiting(err); waiting != "" {
		return recoveryrpc.StatusError(waiting, "")
	}

	return status.Error(codes.Internal, err.Error())
}
