package recoveryserver

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/internal/keeper"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
)

// ListBackups implements recoveryrpc.RecoveryServer.
func (s *Server) ListBackups(ctx context.Context,
	_ *recoveryrpc.ListBackupsRequest) (*recoveryrpc.ListBackupsResponse,
	error) {

	files, err := s.cfg.Keeper.JudgeAll(ctx)
	places := keeper.PlaceErrors(err)
	if err != nil && len(places) == 0 {
		return nil, s.rpcError(err)
	}

	resp := &recoveryrpc.ListBackupsResponse{}
	for _, place := range places {
		resp.PlaceErrors = append(
			resp.PlaceErrors, marshalPlaceError(place),
		)
	}
	for _, file := range files {
		shown := marshalBackup(file.Entry)
		shown.LastVerified = stamp(file.LastVerified)
		resp.Backups = append(resp.Backups, shown)
	}
	for _, lag := range s.cfg.Keeper.Behind() {
		resp.Behind = append(resp.Behind, &recoveryrpc.PlaceLag{
			Place:   lag.Place,
			TokenId: hex.EncodeToString(lag.TokenID[:]),
			Since:   stamp(lag.Since),
			Error:   lag.Err.Error(),
		})
	}

	return resp, nil
}

// VerifyBackup implements recoveryrpc.RecoveryServer.
func (s *Server) VerifyBackup(ctx context.Context,
	req *recoveryrpc.VerifyBackupRequest) (
	*recoveryrpc.VerifyBackupResponse, error) {

	entry, err := s.judgeSent(ctx, req.File)
	if err != nil {
		return nil, err
	}

	return &recoveryrpc.VerifyBackupResponse{
		Backup: marshalBackup(entry),
	}, nil
}

// InspectBackup implements recoveryrpc.RecoveryServer.
func (s *Server) InspectBackup(ctx context.Context,
	req *recoveryrpc.InspectBackupRequest) (
	*recoveryrpc.InspectBackupResponse, error) {

	entry, body, err := s.inspect(ctx, req.File)
	if err != nil {
		return nil, err
	}

	return &recoveryrpc.InspectBackupResponse{
		Backup: marshalBackup(entry),
		Body:   body,
	}, nil
}

// RevealBackup implements recoveryrpc.RecoveryServer.
func (s *Server) RevealBackup(ctx context.Context,
	req *recoveryrpc.RevealBackupRequest) (
	*recoveryrpc.RevealBackupResponse, error) {

	entry, body, err := s.inspect(ctx, req.File)
	if err != nil {
		return nil, err
	}

	resp := &recoveryrpc.RevealBackupResponse{
		Backup: marshalBackup(entry),
		Body:   body,
	}
	if entry.Content != nil {
		resp.Token = entry.Content.Token
	}

	return resp, nil
}

// inspect judges a file and returns what it holds, nil if it does not open.
func (s *Server) inspect(ctx context.Context,
	file *recoveryrpc.BackupFile) (backup.Entry, *recoveryrpc.BackupBody,
	error) {

	entry, err := s.judgeSent(ctx, file)
	if err != nil || entry.Content == nil {
		return entry, nil, err
	}

	content := entry.Content
	made, err := actions.NewGeneration(content, s.cfg.Params)
	if err != nil {
		return entry, nil, s.rpcError(err)
	}
	token := sha256.Sum256(content.Token)

	return entry, &recoveryrpc.BackupBody{
		Generation:          marshalGeneration(made),
		FamiliesFirstHeight: content.Address.FamiliesFirstHeight,
		TokenSize:           uint32(len(content.Token)),
		TokenSha256:         hex.EncodeToString(token[:]),
		IndexSearched:       content.IndexUnknown,
	}, nil
}

// CreateBackup implements recoveryrpc.RecoveryServer.
func (s *Server) CreateBackup(ctx context.Context,
	req *recoveryrpc.CreateBackupRequest) (
	*recoveryrpc.CreateBackupResponse, error) {

	resp := &recoveryrpc.CreateBackupResponse{}
	if req.AcceptPair {
		evidence, err := s.acceptPair(ctx)
		if err != nil {
			return nil, err
		}
		resp.Pair = marshalPair(evidence)
	}

	report, err := s.cfg.Keeper.Create(ctx)
	switch {
	// How it went in each place is the answer.
	case report != nil && len(report.Places) > 0:
		resp.Places = marshalPlaces(*report)
		return resp, nil

	case err != nil:
		return nil, s.rpcError(err)
	}

	return nil, recoveryrpc.StatusError(states.NothingToBackUp, "")
}

// acceptPair takes a person's word that token and address belong together, and
// returns what is known about them.
func (s *Server) acceptPair(ctx context.Context) (*keeper.Evidence, error) {
	if err := s.cfg.Keeper.AcceptPair(ctx); err != nil {
		return nil, s.rpcError(err)
	}
	evidence, err := s.cfg.Keeper.PairEvidence(ctx)
	switch {
	case err != nil:
		return nil, s.rpcError(err)

	case evidence == nil:
		return nil, recoveryrpc.StatusError(states.NothingToBackUp, "")
	}

	return evidence, nil
}

// ExportBackup implements recoveryrpc.RecoveryServer.
func (s *Server) ExportBackup(ctx context.Context,
	req *recoveryrpc.ExportBackupRequest) (
	*recoveryrpc.ExportBackupResponse, error) {

	format := backup.Format(req.Format)
	switch format {
	case "":
		format = backup.Native

	case backup.Native, backup.Legacy:

	default:
		return nil, badRequest("unknown format " + req.Format)
	}
	var wanted string
	if req.TokenId != "" {
		id, err := parseTokenID(req.TokenId)
		if err != nil {
			return nil, err
		}
		wanted = id
	}

	entry, err := s.choose(ctx, wanted, format)
	if err != nil {
		return nil, err
	}
	name, data, err := s.cfg.Keeper.Export(ctx, *entry, format)
	if err != nil {
		return nil, s.rpcError(err)
	}

	return &recoveryrpc.ExportBackupResponse{
		File: &recoveryrpc.BackupFile{Name: name, Content: data},
	}, nil
}

// choose returns the backup to export: of the wanted token, or else of the
// token in place, or else the newest; and of its copies one that has the wanted
// format, if there is one.
func (s *Server) choose(ctx context.Context, wanted string,
	format backup.Format) (*backup.Entry, error) {

	files, err := s.cfg.Keeper.JudgeAll(ctx)
	if err != nil && len(keeper.PlaceErrors(err)) == 0 {
		return nil, s.rpcError(err)
	}
	files = slices.DeleteFunc(files, func(file keeper.Judged) bool {
		return file.Verdict != backup.OK
	})
	if wanted == "" {
		wanted, err = s.tokenInPlace()
		if err != nil {
			return nil, s.rpcError(err)
		}
	}

	var chosen *backup.Entry
	for i := range files {
		file := &files[i].Entry
		id := hex.EncodeToString(file.TokenID[:])
		switch {
		case wanted != "" && id != wanted:

		case chosen == nil:
			chosen = file

		// The files are sorted by generation.
		case file.TokenID == chosen.TokenID &&
			chosen.Format != format && file.Format == format:

			chosen = file
		}
	}
	if chosen == nil {
		return nil, recoveryrpc.StatusError(
			states.NoBackupFound, wanted,
		)
	}

	return chosen, nil
}

// tokenInPlace returns the id of the paid token in place, or nothing.
func (s *Server) tokenInPlace() (string, error) {
	probe, err := s.cfg.Deps.Tokens.Probe()
	if err != nil || probe.Status != generation.TokenPaid {
		return "", err
	}

	return hex.EncodeToString(probe.Token.ID[:]), nil
}

// ImportBackup implements recoveryrpc.RecoveryServer.
func (s *Server) ImportBackup(ctx context.Context,
	req *recoveryrpc.ImportBackupRequest) (
	*recoveryrpc.ImportBackupResponse, error) {

	entry, err := s.judgeSent(ctx, req.File)
	if err != nil {
		return nil, err
	}
	if entry.Verdict != backup.OK {
		return nil, refuseFile(entry)
	}

	// The index of the client key is known by now.
	content := *entry.Content
	content.IndexUnknown = false
	report, err := s.cfg.Keeper.Import(
		ctx, req.File.GetContent(), &content,
	)
	if err != nil && len(report.Places) == 0 {
		return nil, s.rpcError(err)
	}

	return &recoveryrpc.ImportBackupResponse{
		Backup: marshalBackup(entry),
		Places: marshalPlaces(report),
	}, nil
}

// sentUnnamed is what a file that was sent without a name is called.
const sentUnnamed = "the file that was sent"

// judgeSent judges a file that a client sent, without storing it.
func (s *Server) judgeSent(ctx context.Context,
	file *recoveryrpc.BackupFile) (backup.Entry, error) {

	if len(file.GetContent()) == 0 {
		return backup.Entry{}, badRequest("the backup file is empty")
	}
	name := cmp.Or(file.GetName(), sentUnnamed)
	entry, err := s.cfg.Keeper.JudgeBytes(ctx, name, file.GetContent())
	if err != nil {
		return entry, s.rpcError(err)
	}

	return entry, nil
}

// refuseFile says what is wrong with a file that is not in order.
func refuseFile(entry backup.Entry) error {
	detail := entry.Path
	if entry.Detail != "" {
		detail += ": " + entry.Detail
	}

	// A verdict that is not in the list cannot be trusted either.
	return recoveryrpc.StatusError(
		cmp.Or(entry.Verdict.Reason(), states.NotABackup), detail,
	)
}
