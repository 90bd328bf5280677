package generation

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/looprecovery/looprecovery/internal/durable"
)

const (
	// tokenName and pendingName are upstream's names of a token file: that
	// of a paid token, and that of one whose payment is under way.
	tokenName   = "l402.token"
	pendingName = "l402.token.pending"

	// setAsideName is the directory to which files that do not parse are
	// moved.
	setAsideName = "set-aside"

	// tokenPerm are the permissions of a token file.
	tokenPerm = 0o600
)

// ErrParses is returned by SetAside for a file that must not be moved.
var ErrParses = errors.New("the token file parses; it was left alone")

// Files is the token file in loopd's network directory. Its methods can be
// called beside a running daemon.
type Files struct {
	files durable.FS
	dir   string
}

// NewFiles returns the token file in a directory.
func NewFiles(files durable.FS, dir string) *Files {
	return &Files{files: files, dir: dir}
}

// Read returns the bytes of the paid token's file. They are secret.
func (f *Files) Read() ([]byte, error) {
	return durable.ReadFile(
		f.files, filepath.Join(f.dir, tokenName), MaxTokenSize,
	)
}

// Probe says what is in place. As for upstream, the file of a paid token comes
// before that of a pending one. A paid token that it reports is durable:
// upstream does not sync the file, and a crash can have come between our link
// and the sync of the directory.
func (f *Files) Probe() (TokenProbe, error) {
	probe, err := f.probe(tokenName)
	if err == nil && probe.Status == TokenPaid {
		err = errors.Join(
			f.files.SyncDir(filepath.Join(f.dir, tokenName)),
			f.files.SyncDir(f.dir),
		)
	}
	if err != nil || probe.Status != TokenAbsent {
		return probe, err
	}

	pending, err := f.probe(pendingName)
	if err != nil || pending.Status == TokenAbsent {
		return pending, err
	}

	// Whatever is in it, upstream takes it for a payment under way.
	pending.Status = TokenPending

	return pending, nil
}

// probe looks at one file.
func (f *Files) probe(name string) (TokenProbe, error) {
	data, err := durable.ReadFile(
		f.files, filepath.Join(f.dir, name), MaxTokenSize,
	)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return TokenProbe{Status: TokenAbsent}, nil

	case errors.Is(err, durable.ErrTooLarge):
		return TokenProbe{Status: TokenUnreadable}, nil

	case err != nil:
		return TokenProbe{}, err
	}

	probe := TokenProbe{
		Status: TokenUnreadable,
		SHA256: sha256.Sum256(data),
	}
	token, err := ParseToken(data)
	if err != nil {
		return probe, nil
	}
	probe.Token = *token
	probe.Status = TokenPending
	if token.Paid {
		probe.Status = TokenPaid
	}

	return probe, nil
}

// Place publishes the token file durably. A file that is there already is left
// as it is, and the error wraps fs.ErrExist.
func (f *Files) Place(token []byte) error {
	_, err := durable.Publish(f.files, f.dir, tokenName, token, tokenPerm)

	// That it stays, readable by its owner alone, is no failure of this
	// call.
	_ = f.Sweep()

	return err
}

// Sweep removes what a crash left of an earlier Place, once it is of no use. It
// is called at every start too: the run that the crash interrupted may find the
// token in place and have nothing to place any more.
func (f *Files) Sweep() error {
	return durable.Sweep(f.files, f.dir, leftovers)
}

// leftovers are the unfinished token files.
var leftovers = durable.Leftovers{
	Owns: func(final string) bool { return final == tokenName },
	Keep: func(data []byte) bool {
		_, err := ParseToken(data)
		return err == nil
	},
	Limit: MaxTokenSize,
}

// SetAside moves a token file that does not parse to a named place and returns
// that. A file that parses is left alone.
func (f *Files) SetAside() (string, error) {
	probe, err := f.probe(tokenName)
	if err != nil {
		return "", err
	}
	if probe.Status != TokenUnreadable {
		return "", ErrParses
	}

	dir := filepath.Join(f.dir, setAsideName)
	if err := durable.EnsureDir(f.files, dir); err != nil {
		return "", err
	}

	// Upstream leaves a file readable by its owner alone; make sure.
	path := filepath.Join(f.dir, tokenName)
	if err := f.protect(path); err != nil {
		return "", err
	}
	target := filepath.Join(dir, fmt.Sprintf("unreadable-%d-%s",
		time.Now().UnixNano(), hex.EncodeToString(probe.SHA256[:8])))

	return target, durable.Move(f.files, path, target)
}

// protect makes a file readable by its owner alone, if that can be said here.
func (f *Files) protect(path string) error {
	file, err := f.files.Open(path)
	if err != nil {
		return err
	}

	return errors.Join(file.Chmod(tokenPerm), file.Close())
}
