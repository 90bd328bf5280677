package explore

// JournalLost: the process dies, and the next one finds a journal from which
// nothing can be read. It is set aside and a new one is begun, which knows of
// no run, no scan and no import; nothing else is changed by that. A person
// begins the recovery again.
const JournalLost Kind = "lost"

// losses returns the faults that lose the journal wherever one of the given
// lets the process die. Each is tried alone: what it leaves is a world without
// a memory, whatever was before.
func losses(faults []Fault) []Fault {
	var lost []Fault
	for _, fault := range faults {
		if fault.Kind == Crash {
			fault.Kind = JournalLost
			lost = append(lost, fault)
		}
	}

	return lost
}

// lose runs the schedules that lose the journal.
func (r *Report) lose(scenario Scenario, plain Result, faults []Fault) {
	results := inParallel(faults, func(fault Fault) Result {
		return judged(scenario, nil, plain, []Fault{fault})
	})
	r.Singles += len(faults)
	for i, result := range results {
		r.note(scenario, []Fault{faults[i]}, result)
	}
}

// dieLosing lets the process die. What is lost is lost before the next one
// begins.
func (s *schedule) dieLosing() {
	s.mu.Lock()
	s.losing = true
	s.mu.Unlock()

	s.scene.Crash()
}

// lose makes a loss of the journal come true, if one is due.
func (s *schedule) lose() {
	s.mu.Lock()
	losing := s.losing
	s.losing = false
	s.mu.Unlock()
	if !losing {
		return
	}

	s.store.lose()
	s.scene.LoseJournal()
	s.setRun("")
}

// lose forgets everything.
func (s *store) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.runs = nil
	clear(s.events)
}
