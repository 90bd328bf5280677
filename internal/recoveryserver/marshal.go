package recoveryserver

import (
	"encoding/hex"
	"slices"
	"time"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/chainscan"
	"github.com/looprecovery/looprecovery/internal/keeper"
	"github.com/looprecovery/looprecovery/recoveryfsm"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// stamp renders a time, or nil for none.
func stamp(when time.Time) *timestamppb.Timestamp {
	if when.IsZero() {
		return nil
	}

	return timestamppb.New(when)
}

// marshalUpdate renders what a subscriber is told.
func (s *Server) marshalUpdate(
	update recoveryfsm.Update) *recoveryrpc.RecoveryUpdate {

	message := &recoveryrpc.RecoveryUpdate{Run: s.marshalRun(update.Run)}
	if update.Event != nil {
		message.Event = marshalEvent(*update.Event)
	}

	return message
}

// marshalRun renders a run, and what is known of its deposits.
func (s *Server) marshalRun(run recoveryfsm.Run) *recoveryrpc.Run {
	result := marshalRun(run)
	result.Deposits = s.listed(run)

	return result
}

// marshalRun renders a run.
func marshalRun(run recoveryfsm.Run) *recoveryrpc.Run {
	facts := run.Facts
	result := &recoveryrpc.Run{
		Id:          run.ID,
		Kind:        string(run.Kind),
		Version:     run.Version,
		State:       string(run.State),
		BlockedFrom: string(run.BlockedFrom),
		Reason:      string(run.Reason),
		Detail:      run.Detail,
		Attempt:     run.Attempt,
		LastError:   run.LastError,
		NextRetry:   stamp(run.NextRetry),
		Created:     stamp(run.Created),
		Updated:     stamp(run.Updated),
		Automatic:   facts.Request.Automatic,
		LastSeq:     run.LastSeq,
		Birthday:    facts.Birthday,
		Summary:     string(facts.Summary),
		Effects:     marshalEffects(facts.Effects),
		Finished:    run.Finished,
	}
	if halted := run.Halted; halted != nil {
		result.Halted = true
		result.Reason = string(halted.Reason)
		result.Detail = halted.Error
	}
	if result.Reason != "" {
		explanation := states.Explain(states.Reason(result.Reason))
		result.Sentence = explanation.Sentence
		result.Untouched = explanation.Untouched
		result.NextCommand = explanation.Next
	}
	result.Progress = marshalProgress(run.Progress)
	result.Backup = marshalLocated(facts.Located)
	result.Generation = marshalGeneration(facts.Generation)
	result.Coverage = marshalCoverage(facts.Coverage)

	return result
}

// marshalProgress renders how far a scan has come, or nil.
func marshalProgress(progress *recoveryfsm.Progress) *recoveryrpc.Progress {
	if progress == nil {
		return nil
	}

	return &recoveryrpc.Progress{
		Height:          progress.Height,
		Birthday:        progress.Birthday,
		Tip:             progress.Tip,
		Pass:            progress.Pass,
		Outputs:         uint32(progress.Outputs),
		BlocksPerSecond: progress.BlocksPerSecond,
		EtaSeconds:      uint64(progress.ETA.Seconds()),
	}
}

// marshalLocated renders the chosen file, or nil.
func marshalLocated(located *actions.Located) *recoveryrpc.LocatedBackup {
	if located == nil {
		return nil
	}

	return &recoveryrpc.LocatedBackup{
		Path:    located.Path,
		Sha256:  located.SHA256,
		TokenId: located.TokenID,
		Others:  located.Others,
	}
}

// marshalGeneration renders a generation, or nil.
func marshalGeneration(gen *actions.Generation) *recoveryrpc.Generation {
	if gen == nil {
		return nil
	}

	return &recoveryrpc.Generation{
		Network:         gen.Network,
		TokenId:         gen.TokenID,
		TokenCreated:    stamp(gen.Created()),
		Address:         gen.Address,
		ProtocolVersion: gen.ProtocolVersion,
		KeyFamily:       gen.KeyFamily,
		KeyIndex:        gen.KeyIndex,
		Expiry:          gen.Expiry,
		FirstHeight:     gen.FirstHeight,
		ServerKey:       gen.ServerKey,
		ClientKey:       gen.ClientKey,
		ReceiveFamily:   gen.ReceiveFamily,
		ChangeFamily:    gen.ChangeFamily,
	}
}

// marshalEffects renders what a run changed.
func marshalEffects(effects actions.Effects) *recoveryrpc.Effects {
	result := &recoveryrpc.Effects{
		TokenPlaced:    effects.TokenPlaced,
		SetAside:       effects.SetAside,
		ScriptImported: effects.ScriptImported,
		RowCreated:     effects.RowCreated,
	}
	for family, keys := range effects.KeysAdvanced {
		result.KeysAdvanced = append(
			result.KeysAdvanced, &recoveryrpc.KeysAdvanced{
				Family: family, Keys: keys,
			},
		)
	}
	slices.SortFunc(
		result.KeysAdvanced,
		func(a, b *recoveryrpc.KeysAdvanced) int {
			return int(a.Family) - int(b.Family)
		},
	)

	return result
}

// marshalCoverage renders the evidence of a scan, or nil.
func marshalCoverage(coverage *chainscan.Coverage) *recoveryrpc.Coverage {
	if coverage == nil {
		return nil
	}

	result := &recoveryrpc.Coverage{
		Birthday:  coverage.Birthday,
		TipHeight: coverage.Tip.Height,
		TipHash:   coverage.Tip.Hash.String(),
		Source:    coverage.Sources(),
		Passes:    coverage.Passes,
		Blocks:    coverage.Blocks,
	}
	for _, family := range coverage.Families {
		result.Families = append(
			result.Families, &recoveryrpc.FamilyCoverage{
				Family: family.Family,
				Fixed:  family.Fixed,
				Used:   family.Used,
				Tested: family.Tested,
			},
		)
	}

	return result
}

// marshalEvent renders an event.
func marshalEvent(event recoveryfsm.Event) *recoveryrpc.Event {
	return &recoveryrpc.Event{
		Seq:    event.Seq,
		Time:   stamp(event.Time),
		From:   string(event.From),
		Event:  string(event.Event),
		To:     string(event.To),
		Reason: string(event.Reason),
		Detail: event.Detail,
	}
}

// marshalBackup renders a judged file.
func marshalBackup(entry backup.Entry) *recoveryrpc.Backup {
	result := &recoveryrpc.Backup{
		Path:     entry.Path,
		Place:    entry.Place,
		Verdict:  string(entry.Verdict),
		Detail:   entry.Detail,
		Network:  entry.Network,
		Sha256:   hex.EncodeToString(entry.SHA256[:]),
		Size:     entry.Size,
		Modified: stamp(entry.ModTime),
		Format:   string(entry.Format),
	}
	if entry.TokenID != [32]byte{} {
		result.TokenId = hex.EncodeToString(entry.TokenID[:])
		result.TokenCreated = stamp(entry.TokenCreated)
	}

	return result
}

// marshalPlaceError renders a place that could not be read.
func marshalPlaceError(err *backup.PlaceError) *recoveryrpc.PlaceError {
	return &recoveryrpc.PlaceError{
		Place: err.Place, Error: err.Err.Error(),
	}
}

// marshalPair renders what is known about a pair.
func marshalPair(evidence *keeper.Evidence) *recoveryrpc.PairEvidence {
	return &recoveryrpc.PairEvidence{
		TokenId:       hex.EncodeToString(evidence.TokenID[:]),
		TokenCreated:  stamp(evidence.TokenCreated),
		AddressHeight: evidence.Height,
		BlockTime:     stamp(evidence.BlockTime),
		NextBlockTime: stamp(evidence.NextBlockTime),
		Proof:         string(evidence.Proof),
	}
}

// marshalPlaces renders how publishing a backup went.
func marshalPlaces(report backup.Report) []*recoveryrpc.PlaceOutcome {
	var result []*recoveryrpc.PlaceOutcome
	for _, place := range report.Places {
		outcome := &recoveryrpc.PlaceOutcome{
			Place:    place.Place,
			Path:     place.Path,
			Status:   string(place.Status),
			InTheWay: place.InTheWay,
		}
		if place.Err != nil {
			outcome.Error = place.Err.Error()
		}
		result = append(result, outcome)
	}

	return result
}

// marshalPlan renders a plan.
func marshalPlan(plan actions.Plan) *recoveryrpc.PlanRestoreResponse {
	result := &recoveryrpc.PlanRestoreResponse{
		Backup:          marshalLocated(plan.Facts.Located),
		Generation:      marshalGeneration(plan.Facts.Generation),
		Birthday:        plan.Facts.Birthday,
		Tip:             plan.Tip,
		Families:        plan.Families,
		StopsSwapClient: plan.ClosesGate,
	}
	for _, step := range plan.Steps {
		result.Steps = append(result.Steps, &recoveryrpc.PlannedStep{
			State:    string(step.State),
			Sentence: step.Sentence,
			Changes:  step.Changes,
		})
	}
	if obstacle := plan.Obstacle; obstacle != nil {
		explanation := states.ExplainWithoutRun(obstacle.Reason)
		result.Obstacle = &recoveryrpc.Obstacle{
			State:       string(plan.At),
			Reason:      string(obstacle.Reason),
			Detail:      obstacle.Detail,
			Sentence:    explanation.Sentence,
			NextCommand: explanation.Next,
		}
	}

	return result
}

// marshalNotice renders a warning as it stands.
func marshalNotice(notice states.Notice) *recoveryrpc.Warning {
	explanation := states.ExplainWarning(notice.Warning)

	return &recoveryrpc.Warning{
		Code:        string(notice.Warning),
		Sentence:    explanation.Sentence,
		Detail:      notice.Detail,
		NextCommand: explanation.Next,
	}
}
