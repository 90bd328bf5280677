package actions

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/states"
)

// decrypt opens the chosen file and records what of it is not secret. It has no
// effect that could be there already: a run that is resumed here opens the file
// again.
func (r *run) decrypt(ctx context.Context, facts *Facts) (states.Event, error) {
	content, err := r.open(ctx, facts.Located)
	if err != nil {
		return "", err
	}

	generation, err := NewGeneration(content, r.Node.Params())
	if err != nil {
		return "", &BlockError{
			Reason: states.BackupIncomplete,
			Detail: facts.Located.Path,
			Err:    err,
		}
	}
	generation.IndexUnknown = content.IndexUnknown
	facts.Generation = generation

	return states.Done, nil
}

// open reads the chosen file again, makes sure that it is the one that was
// chosen and returns its contents, which include the secret token.
func (r *run) open(ctx context.Context, located *Located) (*backup.Content,
	error) {

	if located == nil {
		return nil, errNoLocated
	}

	entry, err := r.Backups.Judge(ctx, located.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &BlockError{
			Reason: states.BackupChanged,
			Detail: located.Path + " is gone",
		}

	case err != nil:
		return nil, err
	}

	if hex.EncodeToString(entry.SHA256[:]) != located.SHA256 {
		return nil, &BlockError{
			Reason: states.BackupChanged,
			Detail: located.Path,
		}
	}

	err = checkVerdict(entry)
	if err != nil {
		return nil, err
	}

	return entry.Content, nil
}
