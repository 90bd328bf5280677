package recoveryserver

import (
	"github.com/looprecovery/looprecovery/internal/gate"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
)

// daemonStatus says how the embedded daemon is.
func (s *Server) daemonStatus() *recoveryrpc.DaemonStatus {
	now := s.cfg.Gate.Status()
	reason, detail := now.Reason, ""
	cause, _ := states.CauseOf(s.cfg.Daemon.Cause())
	if why := cause.Reason; why != "" &&
		(reason == states.Starting || reason == why) {

		reason, detail = why, cause.Detail
	}

	result := &recoveryrpc.DaemonStatus{
		State:   shownState(now, reason),
		Network: s.cfg.Deps.Network,
		Version: s.cfg.Version,
	}
	if reason == "" {
		return result
	}

	explanation := states.ExplainWithoutRun(reason)
	result.Reason = string(reason)
	result.Detail = detail
	result.Sentence = explanation.Sentence
	result.NextCommand = explanation.Next
	result.NeedsPerson = states.NeedsPerson(reason)

	return result
}

// shownState returns what a person is shown of the gate's state.
func shownState(now gate.Status,
	reason states.Reason) recoveryrpc.DaemonState {

	switch reason {
	case "":
		return recoveryrpc.DaemonState_DAEMON_UP

	case states.Starting:
		return recoveryrpc.DaemonState_DAEMON_STARTING
	}
	for _, holder := range now.Holders {
		if holder.Reason == reason && states.HoldsBack(reason) {
			return recoveryrpc.DaemonState_DAEMON_HELD
		}
	}

	return recoveryrpc.DaemonState_DAEMON_DOWN
}

// warnings returns what stands in the way of safety, as it is known now.
func (s *Server) warnings() []*recoveryrpc.Warning {
	var result []*recoveryrpc.Warning
	for _, notice := range s.cfg.Daemon.Notices() {
		result = append(result, marshalNotice(notice))
	}

	return result
}

// lastLook tells the evidence of the look for backups at the start, or nil.
func (s *Server) lastLook() *recoveryrpc.Look {
	look := s.cfg.Daemon.LastLook()
	if look == nil {
		return nil
	}

	result := &recoveryrpc.Look{
		Time:   stamp(look.When),
		More:   uint32(look.More),
		Reason: string(look.Reason),
		Detail: look.Detail,
	}
	for _, file := range look.Files {
		result.Files = append(result.Files, &recoveryrpc.SeenFile{
			Path:    file.Path,
			Verdict: file.Verdict,
			Reason:  string(file.Reason),
		})
	}
	for _, place := range look.Places {
		result.PlaceErrors = append(
			result.PlaceErrors, &recoveryrpc.PlaceError{
				Place: place.Path, Error: place.Error,
			},
		)
	}

	return result
}
