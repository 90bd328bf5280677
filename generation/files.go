package generation

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"time"

	"github.com/looprecovery/looprecovery/internal/durable"
)

const (
	// tokenName and pendingName are upstream's names of a token file: that
	// of a paid token, and that of one whose payment is under way.
	tokenName   = "l402.token"
	pendingName = "l402.token.pending"

	// oldTokenName and oldPendingName were these names once. At its next
	// start upstream renames a file that has one of them, if the new name
	// is free.
	oldTokenName   = "lsat.token"
	oldPendingName = "lsat.token.pending"

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
	path, err := f.current(tokenName, oldTokenName)
	if err != nil {
		return nil, err
	}

	return durable.ReadLinked(f.files, path, MaxTokenSize)
}

// Probe says what is in place, as upstream will find it at its next start: the
// file of a paid token comes before that of a pending one, and a file under an
// old name counts as soon as the new one is free. A paid token that it reports
// is durable: upstream does not sync the file, and a crash can have come
// between our link and the sync of the directory.
func (f *Files) Probe() (TokenProbe, error) {
	probe, err := f.probe(tokenName, oldTokenName)
	if err == nil && probe.Status == TokenPaid {
		err = errors.Join(
			f.files.SyncDir(probe.Path), f.files.SyncDir(f.dir),
		)
	}
	if err != nil || probe.Status != TokenAbsent {
		return probe, err
	}

	pending, err := f.probe(pendingName, oldPendingName)
	if err != nil || pending.Status == TokenAbsent {
		return pending, err
	}

	// Whatever is in it, upstream takes it for a payment under way.
	pending.Status = TokenPending

	return pending, nil
}

// current returns the path of the file that upstream will find under a name:
// the one that has the name, whatever it is, and else the one with the old
// name. If there is neither, it is the path of the former.
func (f *Files) current(name, old string) (string, error) {
	path := filepath.Join(f.dir, name)
	_, err := f.files.Lstat(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}

	oldPath := filepath.Join(f.dir, old)
	_, err = f.files.Lstat(oldPath)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}

	return oldPath, err
}

// probe looks at the file that upstream will find under a name. It waits for
// nothing: what is no file is unreadable. A link is followed, as upstream
// follows it.
func (f *Files) probe(name, old string) (TokenProbe, error) {
	path, err := f.current(name, old)
	if err != nil {
		return TokenProbe{}, err
	}

	data, err := durable.ReadLinked(f.files, path, MaxTokenSize)
	var kind *durable.KindError
	switch {
	case errors.As(err, &kind), errors.Is(err, durable.ErrTooLarge):
		return TokenProbe{Status: TokenUnreadable, Path: path}, nil

	case errors.Is(err, fs.ErrNotExist):
		return TokenProbe{Status: TokenAbsent}, nil

	case err != nil:
		return TokenProbe{}, err
	}

	probe := TokenProbe{
		Status: TokenUnreadable,
		Path:   path,
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

// Place publishes the token file durably. A file that is there already, under
// the old name too, is left as it is, and the error wraps fs.ErrExist. Where
// the file system allows no better, a power cut meanwhile may leave a torn
// file: that is unreadable, and is set aside like any other.
func (f *Files) Place(token []byte) error {
	path, err := f.current(tokenName, oldTokenName)
	if err != nil {
		return err
	}
	if filepath.Base(path) == oldTokenName {
		return &fs.PathError{
			Op: "place", Path: path, Err: fs.ErrExist,
		}
	}
	_, err = durable.Publish(f.files, f.dir, tokenName, token, tokenPerm)

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
	probe, err := f.probe(tokenName, oldTokenName)
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
	if err := f.protect(probe.Path); err != nil {
		return "", err
	}
	target := filepath.Join(dir, fmt.Sprintf("unreadable-%d-%s",
		time.Now().UnixNano(), hex.EncodeToString(probe.SHA256[:8])))

	return target, durable.Move(f.files, probe.Path, target)
}

// protect makes a file readable by its owner alone. There is nothing to protect
// in what is no file.
func (f *Files) protect(path string) error {
	file, _, err := durable.Open(f.files, path, math.MaxInt64)
	var kind *durable.KindError
	if errors.As(err, &kind) {
		return nil
	}
	if err != nil {
		return err
	}

	return errors.Join(file.Chmod(tokenPerm), file.Close())
}
