package explore

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/looprecovery/looprecovery/recoveryfsm"
)

// stateID names all that decides how a recovery goes on.
type stateID [32]byte

// temporaryName matches the random part of the name of a file that is being
// written.
var temporaryName = regexp.MustCompile(`\.looprecovery-[0-9a-f]{16}-`)

// state describes the moment: journal, world, and how the process goes on. Left
// out are times, ids, the numbers of events, the texts of errors and the count
// of attempts, by which nothing is decided but how long to wait.
func (s *schedule) state(how string) stateID {
	hash := sha256.New()
	write := func(values ...any) { fmt.Fprintln(hash, values...) }

	s.mu.Lock()
	kind, lists := s.lastKind, s.lists
	s.mu.Unlock()
	write(s.asked, min(lists, s.scenario.hangs))
	write(how, kind == ClockJump, kind == Cancel, kind == LockLost,
		s.scene.Crashed())
	for _, run := range s.runs() {
		write(canonical(run))
	}

	files := s.scene.Disk.Files()
	var names []string
	for name, data := range files {
		names = append(names, temporaryName.ReplaceAllString(
			name, ".looprecovery-",
		)+" "+fmt.Sprintf("%x", sha256.Sum256(data)))
	}
	slices.Sort(names)
	write(names)

	for _, row := range s.scene.Rows.Get() {
		write(row.PkScript, row.KeyLocator, row.Expiry)
	}
	counters := s.scene.Lnd.Counters()
	for _, family := range slices.Sorted(maps.Keys(counters)) {
		write(family, counters[family])
	}
	for _, script := range slices.Sorted(maps.Keys(
		s.scene.Lnd.Scripts(),
	)) {
		write([]byte(script))
	}
	write(s.scene.Visibility.Blind(s.scene.address),
		s.scene.Gate.Closed())
	for _, run := range s.runs() {
		cursor, outputs := s.scene.Scanner.Stored(run.ID)
		published, done := s.scene.Visibility.Published(run.ID)
		write(jsonText(cursor), jsonText(outputs), done,
			len(published))
	}

	return stateID(hash.Sum(nil))
}

// canonical returns what of a run decides how it goes on.
func canonical(run recoveryfsm.Run) string {
	return strings.Join([]string{
		string(run.Kind), string(run.State), string(run.BlockedFrom),
		string(run.Reason), fmt.Sprint(run.Acting),
		fmt.Sprint(run.Crashes), fmt.Sprint(run.Finished),
		jsonText(run.Facts),
	}, "|")
}

// jsonText returns a value as JSON.
func jsonText(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}

	return string(text)
}
