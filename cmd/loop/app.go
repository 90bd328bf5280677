package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v3"
)

// app is the command line with everything it needs from outside, so that tests
// can run it as a whole.
type app struct {
	// in is standard input.
	in io.Reader

	// out and err receive what standard output and error receive.
	out, err io.Writer

	// width returns the columns of the terminal behind out, 0 if there is
	// none.
	width func() int

	// now returns the time.
	now func() time.Time

	// pause waits, or returns the context's error if that ends first.
	pause func(ctx context.Context, duration time.Duration) error

	// intercept returns a context that ends when the user interrupts the
	// command, and a function that frees its resources.
	intercept func(ctx context.Context) (context.Context, func())

	// launch hands the process over to upstream's `loop`. It returns the
	// exit code where a process cannot be replaced, or an error if
	// upstream's `loop` could not be started.
	launch func(args []string) (int, error)
}

// run runs the command line and returns the exit code. The first argument is
// the name under which the program was called.
func (a *app) run(ctx context.Context, args []string) int {
	switch classify(args) {
	case rootHelp:
		return a.help(args[0])

	case foreign:
		return a.passThrough(args)
	}

	ctx, stop := a.intercept(ctx)
	defer stop()

	return a.exitCode(a.command().Run(ctx, args))
}

// passThrough hands the arguments to upstream's `loop`.
func (a *app) passThrough(args []string) int {
	code, err := a.launch(args)
	if err != nil {
		return a.exitCode(err)
	}

	return code
}

// exitCode reports an error to the user and returns the code to exit with.
func (a *app) exitCode(err error) int {
	var code exitStatus
	switch {
	case err == nil:
		return exitOK

	case errors.As(err, &code):
		return int(code)
	}

	explained := explain(err)
	explained.print(a.err)

	return explained.code
}

// command returns the tree of our own commands.
func (a *app) command() *cli.Command {
	root := &cli.Command{
		Name:  "loop",
		Usage: "control plane for your loopd",
		Description: "The commands below restore a lost Loop " +
			"client. All other commands are upstream's.",
		Flags:       globalFlags(),
		Commands:    []*cli.Command{a.recover(), a.backup()},
		HideVersion: true,
		Writer:      a.out,
		ErrWriter:   a.err,
		ExitErrHandler: func(context.Context, *cli.Command, error) {
			// The exit code is decided in one place, exitCode.
		},
	}
	refuseBadUsage(root)

	return root
}

// refuseBadUsage makes a command and all commands below it answer a wrong flag
// or argument with a usageError.
func refuseBadUsage(command *cli.Command) {
	command.OnUsageError = func(_ context.Context, cmd *cli.Command,
		err error, _ bool) error {

		return usageError(cmd, err.Error())
	}
	for _, child := range command.Commands {
		refuseBadUsage(child)
	}
}

// rootHelpNote follows our own commands in the output of `loop --help`.
const rootHelpNote = `
Every other command is upstream's and is handed to loop-upstream unchanged.
Its own help follows.

`

// help prints our commands and then upstream's own help.
func (a *app) help(name string) int {
	err := a.command().Run(context.Background(), []string{name, "--help"})
	if err != nil {
		return a.exitCode(err)
	}
	_, err = fmt.Fprint(a.out, rootHelpNote)
	if err != nil {
		return a.exitCode(err)
	}

	return a.passThrough([]string{name, "--help"})
}
