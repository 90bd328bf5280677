package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// upstreamName is the name under which upstream's `loop` is installed.
const upstreamName = "loop-upstream"

// errSelf is returned if loop-upstream is this very program, which would call
// itself for ever.
var errSelf = errors.New("it is this program itself")

// launch replaces this process by upstream's `loop`, called with the same
// arguments. Where a process cannot be replaced it runs it as a child and
// returns its exit code.
func launch(args []string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, upstreamMissing(err)
	}

	path, err := findUpstream(self, exec.LookPath)
	if err != nil {
		return 0, upstreamMissing(err)
	}

	code, err := replaceProcess(path, args)
	if err != nil {
		return 0, upstreamMissing(err)
	}

	return code, nil
}

// findUpstream returns the path of upstream's `loop`: next to our own
// executable, next to what that is a link to, or in PATH, in this order.
func findUpstream(self string, lookPath func(string) (string, error)) (string,
	error) {

	name := upstreamName
	if runtime.GOOS == "windows" {
		name += ".exe"
	}

	places := []string{self}
	if target, err := filepath.EvalSymlinks(self); err == nil {
		places = append(places, target)
	}
	for _, place := range places {
		path := filepath.Join(filepath.Dir(place), name)
		info, err := os.Stat(path)
		if err == nil && info.Mode().IsRegular() {
			return path, refuseSelf(self, path)
		}
	}

	path, err := lookPath(name)
	if err != nil {
		return "", err
	}

	return path, refuseSelf(self, path)
}

// refuseSelf returns errSelf if both paths lead to one file.
func refuseSelf(self, path string) error {
	ours, err := os.Stat(self)
	if err != nil {
		return err
	}
	found, err := os.Stat(path)
	if err != nil {
		return err
	}
	if os.SameFile(ours, found) {
		return fmt.Errorf("%s: %w", path, errSelf)
	}

	return nil
}

// upstreamMissing explains that upstream's `loop` could not be called.
func upstreamMissing(err error) error {
	return &userError{
		code: exitFailure,
		what: fmt.Sprintf("Upstream's command line, %s, cannot be "+
			"called: %v.", upstreamName, err),
		untouched: "Nothing was sent to loopd.",
		next: "install " + upstreamName + " beside this program " +
			"(make build puts both in bin/)",
		cause: err,
	}
}
