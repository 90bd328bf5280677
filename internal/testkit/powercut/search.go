package powercut

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"

	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/internal/testkit/crash"
)

// maxViolations bounds the number of violations that are told.
const maxViolations = 20

// Result is what a search found.
type Result struct {
	// Cuts is the number of states of a disk that were looked at after the
	// power went, Faults that of the runs on a disk that failed.
	Cuts, Faults int

	// Violations are the first of those that were found.
	Violations []string

	// Caught is how many of the Controls, the unsafe sequences, were found
	// to be unsafe.
	Caught, Controls int
}

// OK reports whether everything was as it should be.
func (r *Result) OK() bool {
	return len(r.Violations) == 0 && r.Caught == r.Controls && r.Cuts > 0
}

// String returns the result in one line.
func (r *Result) String() string {
	return fmt.Sprintf("powercut: %d cuts, %d violations, %d of %d "+
		"controls caught", r.Cuts, len(r.Violations), r.Caught,
		r.Controls)
}

// systems are the kinds of file systems that everything is tried on. One that
// can only create a file may leave a torn one, which nobody may take for good.
var systems = map[string]crash.Capability{
	"rename": crash.Renames | crash.Links,
	"link":   crash.Links,
	"create": 0,
}

// causes are the errors that a disk fails with.
var causes = []error{syscall.ENOSPC, syscall.EIO, syscall.EROFS}

// Run searches through everything. An error means that the search itself did
// not work.
func Run(progress func(line string)) (*Result, error) {
	var result Result

	all, err := scenarios()
	if err != nil {
		return nil, err
	}
	for _, system := range slices.Sorted(maps.Keys(systems)) {
		for i := range all {
			search := &search{
				scenario: &all[i],
				system:   system,
				can:      systems[system],
				result:   &result,
				seen:     make(map[[32]byte]bool),
			}
			before := result
			if err := search.everything(); err != nil {
				return nil, err
			}
			progress(fmt.Sprintf("%s (%s): %d cuts, %d faults",
				all[i].name, system, result.Cuts-before.Cuts,
				result.Faults-before.Faults))
		}
	}

	unsafe, err := controls()
	if err != nil {
		return nil, err
	}
	for i := range unsafe {
		found, err := Violations(&unsafe[i])
		if err != nil {
			return nil, err
		}
		result.Controls++
		if len(found) > 0 {
			result.Caught++
			progress(fmt.Sprintf("control %q: caught: %s",
				unsafe[i].name, found[0]))
		}
	}

	return &result, nil
}

// Violations searches through one scenario, without failing disks, and returns
// what it found.
func Violations(s *scenario) ([]string, error) {
	var result Result
	search := &search{
		scenario: s,
		can:      crash.Renames | crash.Links,
		result:   &result,
		seen:     make(map[[32]byte]bool),
	}
	disk, err := s.start(search.can)
	if err != nil {
		return nil, err
	}
	err = search.cutOff(disk, nil)

	return result.Violations, err
}

// search is the search through one scenario on one kind of file system.
type search struct {
	scenario *scenario
	system   string
	can      crash.Capability
	result   *Result

	// seen are the states that the scenario was started from.
	seen map[[32]byte]bool
}

// promise returns what is promised on this kind of file system.
func (s *search) promise() durable.Promise {
	if s.can == 0 {
		return durable.MaybeTorn
	}

	return durable.AllOrNothing
}

// everything cuts the scenario off at every point, starts it again from every
// state it can be found in and cuts it off once more, and makes every change
// fail in turn.
func (s *search) everything() error {
	disk, err := s.scenario.start(s.can)
	if err != nil {
		return err
	}
	var found []*crash.FS
	if err := s.cutOff(disk, &found); err != nil {
		return err
	}
	if len(s.result.Violations) == maxViolations {
		return nil
	}
	for _, again := range found {
		if err := s.cutOff(again, nil); err != nil {
			return err
		}
	}

	return s.faults()
}

// cutOff runs the scenario on a disk and looks at every state in which the disk
// can be found after every change. New ones are added to found.
func (s *search) cutOff(disk *crash.FS, found *[]*crash.FS) error {
	look := func() {
		for cut := range disk.Cuts() {
			// Enough is known, and what is unsafe can leave many
			// more states to look at.
			if len(s.result.Violations) == maxViolations {
				return
			}
			files := s.look(cut)
			if found != nil && s.isNew(files) {
				*found = append(*found, cut)
			}
		}
	}
	look()
	disk.Watch(look)
	err := s.scenario.run(disk)
	disk.Watch(nil)
	if err != nil {
		s.violation(fmt.Errorf("failed on a healthy disk: %w", err))
		return nil
	}
	s.checkDone(disk)

	return nil
}

// look checks the invariants on a disk after a power cut.
func (s *search) look(cut *crash.FS) map[string][]byte {
	s.result.Cuts++
	files := cut.Files()
	if err := s.scenario.check(files, s.promise()); err != nil {
		s.violation(err)
	}

	return files
}

// checkDone checks what was promised by a run that reported success: it must
// hold whatever a power cut takes away.
func (s *search) checkDone(disk *crash.FS) {
	for cut := range disk.Cuts() {
		files := s.look(cut)
		if err := s.scenario.done(files); err != nil {
			s.violation(fmt.Errorf("reported as done: %w", err))
		}
	}
}

// isNew reports whether a state was not seen before. Random parts of a name and
// of a file's contents make no difference.
func (s *search) isNew(files map[string][]byte) bool {
	var shape strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		data := files[name]
		known := name
		if at := strings.Index(name, "/.looprecovery-"); at >= 0 {
			known = name[:at] + "/temp"
		} else if strings.Contains(name, "/set-aside/") {
			known = "aside"
		}
		zero := 0
		for _, b := range data {
			if b == 0 {
				zero++
			}
		}
		// Torn contents differ in their length, or by many zeros.
		fmt.Fprintf(&shape, "%s %d %d %v\n", known, len(data),
			zero*8/(len(data)+1), complete(name, data) == nil)
	}
	sum := sha256.Sum256([]byte(shape.String()))
	isNew := !s.seen[sum]
	s.seen[sum] = true

	return isNew
}

// faults runs the scenario on disks on which a change fails, and then either
// works again or does not, for every change; cuts the power after each; and
// runs it again on the same disk once that works.
func (s *search) faults() error {
	for _, cause := range causes {
		for _, lasting := range []bool{true, false} {
			for first := 0; ; first++ {
				disk, err := s.scenario.start(s.can)
				if err != nil {
					return err
				}
				failed := s.fault(disk, cause, first, lasting)
				if !failed {
					break
				}
			}
		}
	}

	return nil
}

// fault makes one change fail. It reports false if there are not so many.
func (s *search) fault(disk *crash.FS, cause error, first int,
	lasting bool) bool {

	failed := false
	disk.Fail(func(step int) error {
		if step == first || lasting && step > first {
			failed = true
			return cause
		}

		return nil
	})
	err := s.scenario.run(disk)
	if !failed {
		return false
	}
	s.result.Faults++

	// What is only tidying up may fail unnoticed; then all is done.
	if err == nil {
		s.checkDone(disk)
	} else if !errors.Is(err, cause) {
		s.violation(fmt.Errorf("unclear error: %w", err))
	}
	if err := s.scenario.check(disk.Files(), s.promise()); err != nil {
		s.violation(err)
	}
	for cut := range disk.Cuts() {
		s.look(cut)
	}

	disk.Fail(nil)
	if err := s.scenario.run(disk); err != nil {
		s.violation(fmt.Errorf("does not recover: %w", err))
		return true
	}
	s.checkDone(disk)

	return true
}

// violation records a violation.
func (s *search) violation(err error) {
	if len(s.result.Violations) < maxViolations {
		s.result.Violations = append(s.result.Violations, fmt.Sprintf(
			"%s (%s): %v", s.scenario.name, s.system, err))
	}
}
