package loopd

import (
	"context"
	"encoding/hex"
	"errors"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// tokenIDLength is the length of a token id in hex digits.
const tokenIDLength = 64

// recoveryServer is the Recovery service. It reads the journal only, and never
// waits for a run that is at work.
type recoveryServer struct {
	recoveryrpc.UnimplementedRecoveryServer

	daemon *Daemon
}

// StartRecovery implements recoveryrpc.RecoveryServer. A file that was sent is
// durable before anything else happens.
func (s *recoveryServer) StartRecovery(ctx context.Context,
	req *recoveryrpc.StartRecoveryRequest) (
	*recoveryrpc.StartRecoveryResponse, error) {

	kind := states.Kind(req.Kind)
	if kind == "" {
		kind = states.Restore
	}

	var request actions.Request
	switch choice := req.Choice.(type) {
	case *recoveryrpc.StartRecoveryRequest_BackupFile:
		if len(choice.BackupFile.GetContent()) == 0 {
			return nil, badRequest("the backup file is empty")
		}
		path, err := s.receive(choice.BackupFile)
		if err != nil {
			return nil, err
		}
		request.BackupFile = path

	case *recoveryrpc.StartRecoveryRequest_TokenId:
		id, err := parseTokenID(choice.TokenId)
		if err != nil {
			return nil, err
		}
		request.TokenID = id
	}

	_, known := states.Current(kind)
	switch {
	case !known:
		return nil, badRequest("unknown kind " + req.Kind)

	case kind == states.Rescan && req.Choice != nil:
		return nil, badRequest("a rescan takes no backup")
	}

	run, err := s.daemon.engine.Start(ctx, kind, request)
	if err != nil {
		return nil, rpcError(err)
	}

	return &recoveryrpc.StartRecoveryResponse{Run: marshalRun(run)}, nil
}

// receive stores a file that a client sent. A name that claims to be a
// backup's must be that of its contents; any other name says nothing.
func (s *recoveryServer) receive(file *recoveryrpc.BackupFile) (string,
	error) {

	path, err := s.daemon.backups.store.Receive(file.GetContent())
	if err != nil {
		return "", rpcError(err)
	}

	header, err := backup.ReadHeader(file.GetContent())
	tokenID, created, claims := backup.ParseName(file.GetName())
	if err == nil && claims && (tokenID != header.TokenID ||
		!created.Equal(header.TokenCreated)) {

		return "", recoveryrpc.StatusError(
			states.NameMismatch, file.GetName(),
		)
	}

	return path, nil
}

// GetRecovery implements recoveryrpc.RecoveryServer.
func (s *recoveryServer) GetRecovery(ctx context.Context,
	req *recoveryrpc.GetRecoveryRequest) (*recoveryrpc.GetRecoveryResponse,
	error) {

	resp := &recoveryrpc.GetRecoveryResponse{
		Daemon:   s.daemon.embeddedStatus(),
		Warnings: s.daemon.warnings(ctx),
	}

	run, err := s.find(ctx, req.Id)
	var refused *recoveryfsm.RefusedError
	switch {
	// That there was no run yet is an answer, too.
	case req.Id == "" && errors.As(err, &refused) &&
		refused.Reason == states.NoSuchRun:

		return resp, nil

	case err != nil:
		return nil, rpcError(err)
	}
	resp.Run = marshalRun(run)

	return resp, nil
}

// SubscribeRecovery implements recoveryrpc.RecoveryServer.
func (s *recoveryServer) SubscribeRecovery(
	req *recoveryrpc.SubscribeRecoveryRequest,
	stream grpc.ServerStreamingServer[recoveryrpc.RecoveryUpdate]) error {

	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(s.daemon.shutdown, cancel)()

	run, err := s.find(ctx, req.Id)
	if err != nil {
		return rpcError(err)
	}
	err = stream.Send(&recoveryrpc.RecoveryUpdate{Run: marshalRun(run)})
	if err != nil {
		return err
	}

	after := max(req.FromSeq, 1) - 1
	for update, err := range s.daemon.engine.Subscribe(
		ctx, run.ID, after,
	) {
		switch {
		case s.daemon.shutdown.Err() != nil:
			return recoveryrpc.StatusError(
				states.Starting, "loopd is stopping",
			)

		case ctx.Err() != nil:
			return ctx.Err()

		case err != nil:
			return rpcError(err)
		}

		message := &recoveryrpc.RecoveryUpdate{
			Run: marshalRun(update.Run),
		}
		if update.Event != nil {
			message.Event = marshalEvent(*update.Event)
		}
		if err := stream.Send(message); err != nil {
			return err
		}
	}

	return nil
}

// ListRecoveries implements recoveryrpc.RecoveryServer.
func (s *recoveryServer) ListRecoveries(ctx context.Context,
	req *recoveryrpc.ListRecoveriesRequest) (
	*recoveryrpc.ListRecoveriesResponse, error) {

	limit := int(req.MaxRuns)
	if limit == 0 {
		limit = recoveryrpc.MaxRuns
	}
	if limit > recoveryrpc.MaxRuns {
		return nil, badRequest("too many runs asked for")
	}

	runs, err := s.daemon.engine.List(ctx)
	if err != nil {
		return nil, rpcError(err)
	}
	resp := &recoveryrpc.ListRecoveriesResponse{}
	for _, run := range runs[:min(limit, len(runs))] {
		resp.Runs = append(resp.Runs, marshalRun(run))
	}

	return resp, nil
}

// ResumeRecovery implements recoveryrpc.RecoveryServer.
func (s *recoveryServer) ResumeRecovery(ctx context.Context,
	req *recoveryrpc.ResumeRecoveryRequest) (
	*recoveryrpc.ResumeRecoveryResponse, error) {

	run, err := s.find(ctx, req.Id)
	if err != nil {
		return nil, rpcError(err)
	}
	run, err = s.daemon.engine.Resume(ctx, run.ID)
	if err != nil {
		return nil, rpcError(err)
	}

	return &recoveryrpc.ResumeRecoveryResponse{Run: marshalRun(run)}, nil
}

// CancelRecovery implements recoveryrpc.RecoveryServer.
func (s *recoveryServer) CancelRecovery(ctx context.Context,
	req *recoveryrpc.CancelRecoveryRequest) (
	*recoveryrpc.CancelRecoveryResponse, error) {

	run, err := s.find(ctx, req.Id)
	if err != nil {
		return nil, rpcError(err)
	}
	run, err = s.daemon.engine.Cancel(ctx, run.ID)
	if err != nil {
		return nil, rpcError(err)
	}

	return &recoveryrpc.CancelRecoveryResponse{Run: marshalRun(run)}, nil
}

// GetHistory implements recoveryrpc.RecoveryServer.
func (s *recoveryServer) GetHistory(ctx context.Context,
	req *recoveryrpc.GetHistoryRequest) (*recoveryrpc.GetHistoryResponse,
	error) {

	run, err := s.find(ctx, req.Id)
	if err != nil {
		return nil, rpcError(err)
	}
	events, err := s.daemon.engine.Events(ctx, run.ID, 0)
	if err != nil {
		return nil, rpcError(err)
	}

	resp := &recoveryrpc.GetHistoryResponse{Run: marshalRun(run)}
	for _, event := range events {
		resp.Events = append(resp.Events, marshalEvent(event))
	}

	return resp, nil
}

// find returns a run by id, or the latest one if the id is empty.
func (s *recoveryServer) find(ctx context.Context, id string) (recoveryfsm.Run,
	error) {

	if id != "" {
		return s.daemon.engine.Get(ctx, id)
	}

	run, err := s.daemon.engine.Latest(ctx)
	if err != nil {
		return recoveryfsm.Run{}, err
	}
	if run == nil {
		return recoveryfsm.Run{}, &recoveryfsm.RefusedError{
			Reason: states.NoSuchRun,
		}
	}

	return *run, nil
}

// placeErrors returns the parts of an error that name a backup place.
func placeErrors(err error) []*backup.PlaceError {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var result []*backup.PlaceError
		for _, part := range joined.Unwrap() {
			result = append(result, placeErrors(part)...)
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
func rpcError(err error) error {
	var (
		blocked  *actions.BlockError
		refused  *recoveryfsm.RefusedError
		conflict *backup.ConflictError
	)
	switch {
	case errors.As(err, &conflict):
		return recoveryrpc.StatusError(
			states.BackupConflict, conflict.Path,
		)

	case errors.As(err, &refused):
		return recoveryrpc.StatusError(refused.Reason, refused.RunID)

	case errors.Is(err, recoveryfsm.ErrStopped):
		return recoveryrpc.StatusError(
			states.Starting, "loopd is stopping",
		)

	case errors.As(err, &blocked):
		return recoveryrpc.StatusError(blocked.Reason, blocked.Detail)

	case errors.Is(err, errLndNotReady):
		return recoveryrpc.StatusError(states.LndDown, "")

	default:
		return status.Error(codes.Internal, err.Error())
	}
}
