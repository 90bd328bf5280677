package recoveryserver

import (
	"context"
	"io/fs"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
)

// sentFile is the backup places and one file more, which was sent and not
// stored.
type sentFile struct {
	actions.Backups

	entry backup.Entry
}

// Judge implements actions.Backups.
func (s *sentFile) Judge(_ context.Context, path string) (backup.Entry,
	error) {

	if path != s.entry.Path {
		return backup.Entry{}, fs.ErrNotExist
	}

	return s.entry, nil
}

// PlanRestore implements recoveryrpc.RecoveryServer.
func (s *Server) PlanRestore(ctx context.Context,
	req *recoveryrpc.PlanRestoreRequest) (*recoveryrpc.PlanRestoreResponse,
	error) {

	deps := s.cfg.Deps

	var request actions.Request
	switch choice := req.Choice.(type) {
	case *recoveryrpc.PlanRestoreRequest_BackupFile:
		entry, err := s.judgeSent(ctx, choice.BackupFile)
		if err != nil {
			return nil, err
		}
		deps.Backups = &sentFile{Backups: deps.Backups, entry: entry}
		request.BackupFile = entry.Path

	case *recoveryrpc.PlanRestoreRequest_TokenId:
		id, err := parseTokenID(choice.TokenId)
		if err != nil {
			return nil, err
		}
		request.TokenID = id
	}

	plan, err := s.plan(ctx, deps, request)
	if err != nil {
		return nil, s.rpcError(err)
	}

	return marshalPlan(plan), nil
}

// plan plans a restore on this daemon: another run that is not finished, and
// swaps under way that it would have to stop, are obstacles too.
func (s *Server) plan(ctx context.Context, deps actions.Deps,
	request actions.Request) (actions.Plan, error) {

	unfinished, err := s.engine.Unfinished(ctx)
	if err != nil {
		return actions.Plan{}, err
	}
	if unfinished != nil && !unfinished.GivesWay(request) {
		return actions.Plan{
			At: states.Start,
			Obstacle: &actions.BlockError{
				Reason: states.AlreadyRunning,
				Detail: unfinished.ID,
			},
		}, nil
	}

	plan, err := actions.PlanRestore(ctx, deps, request)
	if err != nil || plan.Obstacle != nil || !plan.ClosesGate {
		return plan, err
	}

	task, err := s.cfg.Gate.Task(ctx)
	if err != nil {
		return plan, err
	}
	if task != "" {
		plan.At = states.ImportToken
		plan.Obstacle = &actions.BlockError{
			Reason: states.SwapsInFlight, Detail: task,
		}
	}

	return plan, nil
}
