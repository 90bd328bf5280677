package recoveryserver

import (
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
)

// daemonStatus says how the embedded daemon is.
func (s *Server) daemonStatus() *recoveryrpc.DaemonStatus {
	now := s.cfg.Gate.Status()

	result := &recoveryrpc.DaemonStatus{
		State:   now.State,
		Network: s.cfg.Deps.Network,
		Version: s.cfg.Version,
	}
	if now.Reason == "" {
		return result
	}

	explanation := states.Explain(now.Reason)
	result.Reason = string(now.Reason)
	result.Detail = now.Detail
	result.Sentence = explanation.Sentence
	result.NextCommand = explanation.Next

	return result
}

// warnings returns what stands in the way of safety, as it is known now.
func (s *Server) warnings() []*recoveryrpc.Warning {
	var result []*recoveryrpc.Warning
	for _, notice := range s.cfg.Notices() {
		result = append(result, marshalNotice(notice))
	}

	return result
}
