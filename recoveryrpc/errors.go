package recoveryrpc

import (
	"github.com/looprecovery/looprecovery/states"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// ErrorDomain is the domain of the ErrorInfo in our errors.
	ErrorDomain = "looprecovery"

	// detailKey is the key of an ErrorInfo's metadata under which the
	// thing concerned is named.
	detailKey = "detail"
)

// CodeOf returns the gRPC code of an error with a reason: whether the request
// is wrong, names something that is not there, may be repeated as it is once
// the daemon is up, or needs a person first.
func CodeOf(reason states.Reason) codes.Code {
	if states.NeedsPerson(reason) {
		return codes.Unavailable
	}

	switch reason {
	case states.BadRequest:
		return codes.InvalidArgument

	case states.NoSuchRun, states.NoBackupFound:
		return codes.NotFound

	case states.LndLocked, states.LndDown, states.Starting,
		states.RecoveryActive, states.Standby, states.LockLost,
		states.DatabaseDown, states.PlacesUnanswered:

		return codes.Unavailable

	default:
		return codes.FailedPrecondition
	}
}

// StatusError returns an error for a caller of the service: a status with the
// code of the reason, a sentence for a person, and an ErrorInfo that carries
// the reason. The detail names the thing concerned, such as a path or a run's
// id; it must hold nothing secret and may be empty.
func StatusError(reason states.Reason, detail string) error {
	info := &errdetails.ErrorInfo{
		Reason: string(reason),
		Domain: ErrorDomain,
	}

	message := states.Explain(reason).Sentence
	if detail != "" {
		message += " (" + detail + ")"
		info.Metadata = map[string]string{detailKey: detail}
	}

	sent := status.New(CodeOf(reason), message)
	if detailed, err := sent.WithDetails(info); err == nil {
		sent = detailed
	}

	return sent.Err()
}

// ReasonOf returns the reason that an error of the service carries, and
// whether it carries one. The error may be wrapped.
func ReasonOf(err error) (states.Reason, bool) {
	info := errorInfo(err)
	if info == nil {
		return "", false
	}

	return states.Reason(info.Reason), true
}

// DetailOf returns the thing that an error of the service names, or "".
func DetailOf(err error) string {
	return errorInfo(err).GetMetadata()[detailKey]
}

// errorInfo returns our ErrorInfo from an error, or nil.
func errorInfo(err error) *errdetails.ErrorInfo {
	received, ok := status.FromError(err)
	if !ok {
		return nil
	}

	for _, detail := range received.Details() {
		info, ok := detail.(*errdetails.ErrorInfo)
		if ok && info.Domain == ErrorDomain {
			return info
		}
	}

	return nil
}
