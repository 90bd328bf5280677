package actions

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/states"
)

const (
	// maxSeenFiles is the number of files that a look names; the others
	// are counted.
	maxSeenFiles = 20

	// maxNamedFiles is the number of files that the detail of a stop
	// names.
	maxNamedFiles = 5
)

// Look is what a look for a backup saw, in all places and without any effect:
// an empty result shows its evidence. It is kept as JSON and holds nothing
// secret.
type Look struct {
	// When is when it was made: for who keeps it to set.
	When time.Time `json:"when"`

	// Files are the files that claim to be backups, twenty at most, and
	// More is the number of the others.
	Files []SeenFile `json:"files,omitempty"`
	More  int        `json:"more,omitempty"`

	// Places are those that could not be read: what they hold is not known.
	Places []SeenPlace `json:"places,omitempty"`

	// Located is what a restore would take, or nil.
	Located *Located `json:"located,omitempty"`

	// Reason and Detail say why a restore would not take any, and what it
	// is about.
	Reason states.Reason `json:"reason,omitempty"`
	Detail string        `json:"detail,omitempty"`
}

// SeenFile is a file with its verdict.
type SeenFile struct {
	// Path is the file's path as the daemon sees it.
	Path string `json:"path"`

	// Reason is what is wrong with the file, or in what it does not fit to
	// what is in place; empty if nothing is.
	Reason states.Reason `json:"reason,omitempty"`

	// Verdict says the same for a person.
	Verdict string `json:"verdict"`
}

// SeenPlace is a place that could not be read.
type SeenPlace struct {
	// Path is the place's path as the daemon sees it.
	Path string `json:"path"`

	// Error is the cause, for display only.
	Error string `json:"error"`
}

// Candidate reports whether there is something to restore from, be it that a
// person has to decide something first.
func (l *Look) Candidate() bool {
	switch l.Reason {
	case states.NoBackupFound, states.PlaceUnreadable:
		return false
	}

	return l.Located != nil || l.Reason != ""
}

// LookForBackup looks which backup a restore with the given request would take.
// It changes nothing. That there is none is no error but part of the look; an
// error is passing: lnd is down, or the context has ended.
func LookForBackup(ctx context.Context, deps Deps, request Request) (Look,
	error) {

	r := newRun(deps, "")
	search, err := r.search(ctx)
	if err != nil {
		return Look{}, err
	}

	look := search.look()
	located, err := search.locate(request)
	var block *BlockError
	switch {
	case errors.As(err, &block):
		look.Reason, look.Detail = block.Reason, block.Detail

	case err != nil:
		return Look{}, err
	}
	look.Located = located

	return look, nil
}

// search is what the backup places hold, and what is in place on this machine.
type search struct {
	entries []backup.Entry
	network string
	here    inPlace

	// unread is the error that names the places that could not be read, or
	// nil.
	unread error
}

// search judges the files of all places.
func (r *run) search(ctx context.Context) (*search, error) {
	entries, unread := r.Backups.List(ctx)
	switch {
	// A place that was not read to its end because the run is being
	// stopped is none that cannot be read.
	case ctx.Err() != nil:
		return nil, ctx.Err()

	case unread != nil && !onlyPlaces(unread):
		return nil, unread
	}

	here, err := r.inPlace(ctx)
	if err != nil {
		return nil, err
	}

	return &search{
		entries: entries, network: r.Network, here: here,
		unread: unread,
	}, nil
}

// locate chooses a file. Without one it returns a *BlockError that names what
// was seen. A place that cannot be read stands in the way of no file elsewhere.
func (s *search) locate(request Request) (*Located, error) {
	valid := usable(s.entries, s.network)
	chosen, err := choose(valid, request, s.here)
	switch {
	case err != nil:
		return nil, err

	case chosen == nil:
		return nil, s.nothingFound(
			s.here.describe(len(valid), request),
		)
	}

	err = checkConflict(valid, *chosen)
	if err != nil {
		return nil, err
	}

	located := newLocated(*chosen)
	located.Others = otherTokens(valid, chosen.Content.TokenID)
	for _, place := range unreadPlaces(s.unread) {
		located.Unread = append(located.Unread, place.Path)
	}

	return located, nil
}

// nothingFound is the error that blocks a run without a candidate. If a place,
// or a file with a backup's name, could not be read, that may well be it.
func (s *search) nothingFound(why string) error {
	details := []string{why, s.verdicts()}
	reason := states.NoBackupFound
	unread := s.unread
	for _, entry := range s.entries {
		unread = errors.Join(unread, entry.Err)
	}
	if unread != nil {
		reason = states.PlaceUnreadable
		var paths []string
		for _, place := range unreadPlaces(s.unread) {
			paths = append(paths, place.Path)
		}
		details = append([]string{strings.Join(paths, ", ")},
			details...)
	}

	return &BlockError{
		Reason: reason, Detail: joinTexts(details), Err: unread,
	}
}

// verdicts names the first files with their verdicts.
func (s *search) verdicts() string {
	var texts []string
	for i, entry := range s.entries {
		if i == maxNamedFiles {
			texts = append(texts, fmt.Sprintf("and %d more",
				len(s.entries)-i))
			break
		}
		seen := s.seen(entry)
		texts = append(texts, fmt.Sprintf("%s: %s",
			filepath.Base(seen.Path), seen.Verdict))
	}

	return joinTexts(texts)
}

// joinTexts joins the texts that are not empty.
func joinTexts(texts []string) string {
	var parts []string
	for _, text := range texts {
		if text != "" {
			parts = append(parts, text)
		}
	}

	return strings.Join(parts, "; ")
}

// look returns the evidence.
func (s *search) look() Look {
	look := Look{Places: unreadPlaces(s.unread)}
	for i, entry := range s.entries {
		if i == maxSeenFiles {
			look.More = len(s.entries) - i
			break
		}
		look.Files = append(look.Files, s.seen(entry))
	}

	return look
}

// seen returns a file with its verdict, or with that of what is in place.
func (s *search) seen(entry backup.Entry) SeenFile {
	seen := SeenFile{
		Path: entry.Path, Verdict: string(entry.Verdict),
		Reason: entry.Verdict.Reason(),
	}
	if entry.Verdict != backup.OK {
		return seen
	}
	if entry.Content.Network != s.network {
		seen.Reason = states.OtherNetwork
		seen.Verdict = string(backup.OtherNetwork)

		return seen
	}

	obstacle, err := s.here.fits(entry.Content)
	switch {
	case err != nil:
		seen.Reason = states.BackupIncomplete
		seen.Verdict = string(backup.Incomplete)

	case obstacle == states.TokenConflict:
		seen.Reason = obstacle
		seen.Verdict = "valid, of another token than the one in place"

	case obstacle != "":
		seen.Reason = obstacle
		seen.Verdict = "valid, of another address than the one in place"
	}

	return seen
}

// unreadPlaces returns the places that an error of Backups.List names.
func unreadPlaces(err error) []SeenPlace {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var places []SeenPlace
		for _, part := range joined.Unwrap() {
			places = append(places, unreadPlaces(part)...)
		}

		return places
	}

	var place *backup.PlaceError
	if !errors.As(err, &place) {
		return nil
	}

	return []SeenPlace{{Path: place.Place, Error: place.Err.Error()}}
}
