package actions

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/states"
)

// locateBackup chooses the file to restore from: the one that the request names
// by path, or the newest valid one in all places that fits to what is in place.
func (r *run) locateBackup(ctx context.Context, facts *Facts) (states.Event,
	error) {

	if facts.Located != nil {
		there, err := r.stillThere(ctx, facts.Located)
		if err != nil {
			return "", err
		}
		if there {
			return states.Done, nil
		}
		facts.Located = nil
	}

	var err error
	if facts.Request.BackupFile != "" {
		facts.Located, err = r.locateFile(ctx, facts.Request)
	} else {
		facts.Located, err = r.locateNewest(ctx, facts.Request)
	}
	if err != nil {
		return "", err
	}

	return states.Done, nil
}

// stillThere reports whether the file that was chosen before is in its place
// with the same bytes.
func (r *run) stillThere(ctx context.Context, located *Located) (bool, error) {
	entry, err := r.Backups.Judge(ctx, located.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil

	case err != nil:
		return false, err
	}

	return hex.EncodeToString(entry.SHA256[:]) == located.SHA256, nil
}

// locateFile judges the file that the request names. What is wrong with it is
// said as it is: the user means this file and no other.
func (r *run) locateFile(ctx context.Context, request Request) (*Located,
	error) {

	entry, err := r.Backups.Judge(ctx, request.BackupFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &BlockError{
			Reason: states.NoBackupFound,
			Detail: request.BackupFile + " does not exist",
		}

	case errors.Is(err, fs.ErrPermission):
		return nil, &BlockError{
			Reason: states.PlaceUnreadable,
			Detail: request.BackupFile,
			Err:    err,
		}

	case err != nil:
		return nil, err
	}

	err = checkVerdict(entry)
	if err != nil {
		return nil, err
	}

	located := newLocated(entry)
	if request.TokenID != "" && request.TokenID != located.TokenID {
		return nil, &BlockError{
			Reason: states.BadRequest,
			Detail: entry.Path + " is of token " + located.TokenID,
		}
	}

	return located, nil
}

// locateNewest chooses among the files in all backup places.
func (r *run) locateNewest(ctx context.Context, request Request) (*Located,
	error) {

	search, err := r.search(ctx)
	if err != nil {
		return nil, err
	}

	return search.locate(request)
}

// newLocated names a valid file.
func newLocated(entry backup.Entry) *Located {
	return &Located{
		Path:    entry.Path,
		SHA256:  hex.EncodeToString(entry.SHA256[:]),
		TokenID: hex.EncodeToString(entry.Content.TokenID[:]),
	}
}

// onlyPlaces reports whether an error consists of nothing but places that could
// not be listed.
func onlyPlaces(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, part := range joined.Unwrap() {
			if !onlyPlaces(part) {
				return false
			}
		}

		return true
	}

	var place *backup.PlaceError

	return errors.As(err, &place)
}
