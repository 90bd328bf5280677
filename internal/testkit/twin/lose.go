package twin

import (
	"github.com/looprecovery/looprecovery/chainscan"
)

// LoseJournal makes the world forget what recovery.db holds of it, as damage to
// that file does from which nothing could be salvaged: the scans of all runs
// and what lnd's wallet cannot see. From then on the wallet counts as blind for
// every script, until a scan is published. No process is running.
func (w *World) LoseJournal() {
	w.Scanner.lose()
	w.Visibility.lose()
}

// lose forgets all scans.
func (s *Scanner) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.checkpoints = make(map[string]*chainscan.MemoryCheckpoint)
}

// lose forgets every import and every scan.
func (v *Visibility) lose() {
	v.mu.Lock()
	defer v.mu.Unlock()

	clear(v.pending)
	clear(v.blind)
	clear(v.published)
	v.unproven = true
}
