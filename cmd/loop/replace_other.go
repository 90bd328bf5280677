//go:build !unix

package main

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
)

// replaceProcess runs the program at the path on our streams and returns its
// exit code: this system cannot replace a process.
func replaceProcess(path string, args []string) (int, error) {
	// The interrupt reaches the child too; it decides what to do.
	signal.Ignore(os.Interrupt)

	command := &exec.Cmd{
		Path: path, Args: args,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
	err := command.Run()

	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return ended.ExitCode(), nil
	}

	return 0, err
}
