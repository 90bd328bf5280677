package recoveryserver

import (
	"context"
	"errors"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"google.golang.org/grpc"
)

// StartRecovery implements recoveryrpc.RecoveryServer. A file that was sent is
// durable before anything else happens.
func (s *Server) StartRecovery(ctx context.Context,
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
		path, err := s.receive(ctx, choice.BackupFile)
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

	run, err := s.engine.Start(ctx, kind, request)
	if err != nil {
		return nil, s.rpcError(err)
	}

	return &recoveryrpc.StartRecoveryResponse{Run: marshalRun(run)}, nil
}

// receive stores a file that a client sent. A name that claims to be a
// backup's must be that of its contents; any other name says nothing.
func (s *Server) receive(ctx context.Context,
	file *recoveryrpc.BackupFile) (string, error) {

	path, err := s.cfg.Keeper.Receive(ctx, file.GetContent())
	if err != nil {
		return "", s.rpcError(err)
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
func (s *Server) GetRecovery(ctx context.Context,
	req *recoveryrpc.GetRecoveryRequest) (*recoveryrpc.GetRecoveryResponse,
	error) {

	resp := &recoveryrpc.GetRecoveryResponse{
		Daemon:   s.daemonStatus(),
		Warnings: s.warnings(),
	}

	run, err := s.find(ctx, req.Id)
	var refused *recoveryfsm.RefusedError
	switch {
	// That there was no run yet is an answer, too.
	case req.Id == "" && errors.As(err, &refused) &&
		refused.Reason == states.NoSuchRun:

		return resp, nil

	case err != nil:
		return nil, s.rpcError(err)
	}
	resp.Run = marshalRun(run)

	return resp, nil
}

// SubscribeRecovery implements recoveryrpc.RecoveryServer.
func (s *Server) SubscribeRecovery(
	req *recoveryrpc.SubscribeRecoveryRequest,
	stream grpc.ServerStreamingServer[recoveryrpc.RecoveryUpdate]) error {

	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()

	run, err := s.find(ctx, req.Id)
	if err != nil {
		return s.rpcError(err)
	}
	err = stream.Send(&recoveryrpc.RecoveryUpdate{Run: marshalRun(run)})
	if err != nil {
		return err
	}

	after := max(req.FromSeq, 1) - 1
	for update, err := range s.engine.Subscribe(
		ctx, run.ID, after,
	) {
		switch {
		case s.life.Err() != nil:
			return recoveryrpc.StatusError(
				states.Starting, "loopd is stopping",
			)

		case ctx.Err() != nil:
			return ctx.Err()

		case err != nil:
			return s.rpcError(err)
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
func (s *Server) ListRecoveries(ctx context.Context,
	req *recoveryrpc.ListRecoveriesRequest) (
	*recoveryrpc.ListRecoveriesResponse, error) {

	limit := int(req.MaxRuns)
	if limit == 0 {
		limit = recoveryrpc.MaxRuns
	}
	if limit > recoveryrpc.MaxRuns {
		return nil, badRequest("too many runs asked for")
	}

	runs, err := s.engine.List(ctx)
	if err != nil {
		return nil, s.rpcError(err)
	}
	resp := &recoveryrpc.ListRecoveriesResponse{}
	for _, run := range runs[:min(limit, len(runs))] {
		resp.Runs = append(resp.Runs, marshalRun(run))
	}

	return resp, nil
}

// ResumeRecovery implements recoveryrpc.RecoveryServer.
func (s *Server) ResumeRecovery(ctx context.Context,
	req *recoveryrpc.ResumeRecoveryRequest) (
	*recoveryrpc.ResumeRecoveryResponse, error) {

	run, err := s.find(ctx, req.Id)
	if err != nil {
		return nil, s.rpcError(err)
	}
	run, err = s.engine.Resume(ctx, run.ID)
	if err != nil {
		return nil, s.rpcError(err)
	}

	return &recoveryrpc.ResumeRecoveryResponse{Run: marshalRun(run)}, nil
}

// CancelRecovery implements recoveryrpc.RecoveryServer.
func (s *Server) CancelRecovery(ctx context.Context,
	req *recoveryrpc.CancelRecoveryRequest) (
	*recoveryrpc.CancelRecoveryResponse, error) {

	run, err := s.find(ctx, req.Id)
	if err != nil {
		return nil, s.rpcError(err)
	}
	run, err = s.engine.Cancel(ctx, run.ID)
	if err != nil {
		return nil, s.rpcError(err)
	}

	return &recoveryrpc.CancelRecoveryResponse{Run: marshalRun(run)}, nil
}

// GetHistory implements recoveryrpc.RecoveryServer.
func (s *Server) GetHistory(ctx context.Context,
	req *recoveryrpc.GetHistoryRequest) (*recoveryrpc.GetHistoryResponse,
	error) {

	run, err := s.find(ctx, req.Id)
	if err != nil {
		return nil, s.rpcError(err)
	}
	events, err := s.engine.Events(ctx, run.ID, 0)
	if err != nil {
		return nil, s.rpcError(err)
	}

	resp := &recoveryrpc.GetHistoryResponse{Run: marshalRun(run)}
	for _, event := range events {
		resp.Events = append(resp.Events, marshalEvent(event))
	}

	return resp, nil
}

// find returns a run by id, or the latest one if the id is empty.
func (s *Server) find(ctx context.Context, id string) (recoveryfsm.Run,
	error) {

	if id != "" {
		return s.engine.Get(ctx, id)
	}

	run, err := s.engine.Latest(ctx)
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
