package recoveryserver

import (
	"cmp"
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
// judged before anything is made of it, and durable before the run is: what is
// refused leaves neither behind.
func (s *Server) StartRecovery(ctx context.Context,
	req *recoveryrpc.StartRecoveryRequest) (
	*recoveryrpc.StartRecoveryResponse, error) {

	kind := states.Kind(cmp.Or(req.Kind, string(states.Restore)))
	_, known := states.Current(kind)
	switch {
	case !known:
		return nil, badRequest("unknown kind " + req.Kind)

	case kind == states.Rescan && req.Choice != nil:
		return nil, badRequest("a rescan takes no backup")
	}

	request, err := s.request(ctx, req)
	if err != nil {
		return nil, err
	}
	run, err := s.engine.Start(ctx, kind, request)
	if err != nil {
		return nil, s.rpcError(err)
	}

	return &recoveryrpc.StartRecoveryResponse{Run: s.marshalRun(run)}, nil
}

// request returns what a run is to be made of.
func (s *Server) request(ctx context.Context,
	req *recoveryrpc.StartRecoveryRequest) (actions.Request, error) {

	switch choice := req.Choice.(type) {
	case *recoveryrpc.StartRecoveryRequest_BackupFile:
		path, err := s.receive(ctx, choice.BackupFile)

		return actions.Request{BackupFile: path}, err

	case *recoveryrpc.StartRecoveryRequest_TokenId:
		id, err := parseTokenID(choice.TokenId)

		return actions.Request{TokenID: id}, err

	default:
		return actions.Request{}, nil
	}
}

// receive judges a file that a client sent, and stores one that is in order and
// that a run can be made of now.
func (s *Server) receive(ctx context.Context,
	file *recoveryrpc.BackupFile) (string, error) {

	entry, err := s.judgeSent(ctx, file)
	if err != nil {
		return "", err
	}
	if entry.Verdict != backup.OK {
		return "", refuseFile(entry)
	}

	unfinished, err := s.engine.Unfinished(ctx)
	switch {
	case err != nil:
		return "", s.rpcError(err)

	case unfinished != nil && !unfinished.GivesWay(actions.Request{}):
		return "", recoveryrpc.StatusError(
			states.AlreadyRunning, unfinished.ID,
		)
	}

	path, err := s.cfg.Keeper.Receive(ctx, file.GetContent())
	if err != nil {
		return "", s.rpcError(err)
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
		LastLook: s.lastLook(),
	}

	run, err := s.find(ctx, req.Id)
	var refused *recoveryfsm.RefusedError
	switch {
	// That there was no run yet is an answer, too.
	case req.Id == "" && errors.As(err, &refused) &&
		refused.Reason == states.NoSuchRun:

		return resp, nil

	// How the swap client is does not depend on the journal.
	case err != nil && req.Id == "" && refused == nil && ctx.Err() == nil:
		resp.Warnings = append(resp.Warnings, marshalNotice(
			states.Notice{
				Warning: states.WarnJournalUnreadable,
				Detail:  err.Error(),
			},
		))

		return resp, nil

	case err != nil:
		return nil, s.rpcError(err)
	}
	resp.Run = s.marshalRun(run)
	s.askBeside(run)

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
	err = stream.Send(&recoveryrpc.RecoveryUpdate{Run: s.marshalRun(run)})
	if err != nil {
		return err
	}

	after := max(req.FromSeq, 1) - 1
	for update, err := range s.engine.Subscribe(ctx, run.ID, after) {
		if err != nil {
			return s.streamError(ctx, err)
		}
		run = update.Run
		if err := stream.Send(s.marshalUpdate(update)); err != nil {
			return err
		}
	}
	if !hasResult(run) {
		return nil
	}

	// What was found is of use once the swap client lists it.
	s.awaitListed(ctx, run)
	if ctx.Err() != nil {
		return s.streamError(ctx, ctx.Err())
	}

	return stream.Send(&recoveryrpc.RecoveryUpdate{Run: s.marshalRun(run)})
}

// streamError says why a stream ends before its run does.
func (s *Server) streamError(ctx context.Context, err error) error {
	switch {
	case s.life.Err() != nil:
		return recoveryrpc.StatusError(
			states.Starting, "loopd is stopping",
		)

	case ctx.Err() != nil:
		return ctx.Err()

	default:
		return s.rpcError(err)
	}
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
		resp.Runs = append(resp.Runs, s.marshalRun(run))
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

	return &recoveryrpc.ResumeRecoveryResponse{Run: s.marshalRun(run)}, nil
}

// CancelRecovery implements recoveryrpc.RecoveryServer. Without a run's id it
// also ends the wait for a backup place before any run.
func (s *Server) CancelRecovery(ctx context.Context,
	req *recoveryrpc.CancelRecoveryRequest) (
	*recoveryrpc.CancelRecoveryResponse, error) {

	if req.Id == "" {
		given, err := s.cfg.Daemon.GiveUp(ctx)
		switch {
		case err != nil:
			return nil, s.rpcError(err)

		case given != nil:
			return &recoveryrpc.CancelRecoveryResponse{
				Run: s.marshalRun(*given),
			}, nil
		}
	}

	run, err := s.find(ctx, req.Id)
	if err != nil {
		return nil, s.rpcError(err)
	}
	run, err = s.engine.Cancel(ctx, run.ID)
	if err != nil {
		return nil, s.rpcError(err)
	}

	return &recoveryrpc.CancelRecoveryResponse{Run: s.marshalRun(run)}, nil
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

	resp := &recoveryrpc.GetHistoryResponse{Run: s.marshalRun(run)}
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
