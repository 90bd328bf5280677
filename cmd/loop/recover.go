package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/urfave/cli/v3"
	"google.golang.org/protobuf/proto"
)

// recoverName is the name of the command that restores.
const recoverName = "recover"

// The names of the flags of our commands.
const (
	backupFileName = "backup_file"
	tokenIDName    = "token_id"
	statusName     = "status"
	watchName      = "watch"
	jsonName       = "json"
	detachName     = "detach"
	maxRunsName    = "max_runs"
)

// standardInput is what standard input is called where a file is wanted.
const standardInput = "-"

// tokenIDSize is the size of a token's id in bytes.
const tokenIDSize = 32

// jsonFlag, watchFlag and detachFlag return the flags that several commands
// share.
func jsonFlag() cli.Flag {
	return &cli.BoolFlag{
		Name: jsonName, Local: true,
		Usage: "print JSON instead of text",
	}
}

func watchFlag() cli.Flag {
	return &cli.BoolFlag{
		Name: watchName, Local: true,
		Usage: "follow the recovery until it ends or needs you",
	}
}

func detachFlag() cli.Flag {
	return &cli.BoolFlag{
		Name: detachName, Local: true,
		Usage: "return at once instead of following the recovery",
	}
}

// recover returns the command `loop recover` with everything below it.
func (a *app) recover() *cli.Command {
	return &cli.Command{
		Name:  recoverName,
		Usage: "restore a lost Loop client from its backup",
		UsageText: "loop recover [--backup_file FILE | --token_id " +
			"ID] [--dry_run] [--detach] [--json]\nloop recover " +
			"COMMAND [options]",
		Description: "Rebuilds the L402 token, the static address " +
			"and its deposits from the newest valid\nbackup, " +
			"from the chosen file or token, and follows the " +
			"recovery. Ctrl-C stops\nfollowing; the recovery " +
			"goes on inside loopd. Nothing that is in place is " +
			"ever\noverwritten.",
		Flags: []cli.Flag{
			&cli.StringFlag{
				Name: backupFileName, Local: true,
				TakesFile: true,
				Usage: "restore from this `FILE` of this " +
					"machine, - for standard input; it " +
					"is sent to loopd",
			},
			&cli.StringFlag{
				Name: tokenIDName, Local: true,
				Usage: "restore the newest backup of the " +
					"L402 token with this `ID`",
			},
			&cli.BoolFlag{
				Name: dryRunName, Local: true,
				Usage: "write nothing; show what would be " +
					"done and what stands in the way",
			},
			&cli.BoolFlag{
				Name: statusName, Local: true,
				Usage: "show the latest recovery and begin " +
					"nothing: loop recover status",
			},
			watchFlag(), detachFlag(), jsonFlag(),
		},
		Before: refuseMisplaced,
		Action: a.startRestore,
		Commands: []*cli.Command{
			a.recoverStatus(), a.recoverResume(),
			a.recoverCancel(), a.recoverList(), a.recoverHistory(),
			a.recoverRescan(),
		},
	}
}

// recoverStatus returns the command `loop recover status`.
func (a *app) recoverStatus() *cli.Command {
	return &cli.Command{
		Name:      statusName,
		Usage:     "show a recovery, the swap client and warnings",
		ArgsUsage: "[RECOVERY_ID]",
		Description: "Shows the latest recovery, or the one with " +
			"the given id. The exit code is 0 if it\nis under " +
			"way or reconciled, 3 if it is blocked or the swap " +
			"client waits for you, 4 if\nit was cancelled.",
		Flags:  []cli.Flag{watchFlag(), jsonFlag()},
		Action: a.status,
	}
}

// recoverResume returns the command `loop recover resume`.
func (a *app) recoverResume() *cli.Command {
	return &cli.Command{
		Name:      "resume",
		Usage:     "go on with a blocked recovery where it stopped",
		ArgsUsage: "[RECOVERY_ID]",
		Description: "Goes on with the latest recovery, or the one " +
			"with the given id, and follows it.",
		Flags:  []cli.Flag{detachFlag(), jsonFlag()},
		Action: a.resume,
	}
}

// recoverCancel returns the command `loop recover cancel`.
func (a *app) recoverCancel() *cli.Command {
	return &cli.Command{
		Name:      "cancel",
		Usage:     "give up a recovery",
		ArgsUsage: "[RECOVERY_ID]",
		Description: "Ends the latest recovery, or the one with the " +
			"given id. What it has put in place\nstays in place.",
		Flags:  []cli.Flag{jsonFlag()},
		Action: a.cancel,
	}
}

// recoverList returns the command `loop recover list`.
func (a *app) recoverList() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list all recoveries, the newest first",
		Flags: []cli.Flag{
			&cli.UintFlag{
				Name: maxRunsName, Local: true,
				Value: recoveryrpc.MaxRuns,
				Usage: "the largest number of recoveries",
			},
			jsonFlag(),
		},
		Action: a.list,
	}
}

// recoverHistory returns the command `loop recover history`.
func (a *app) recoverHistory() *cli.Command {
	return &cli.Command{
		Name:      "history",
		Usage:     "show what happened in a recovery, and when",
		ArgsUsage: "[RECOVERY_ID]",
		Description: "Shows every step of the latest recovery, or of " +
			"the one with the given id.",
		Flags:  []cli.Flag{jsonFlag()},
		Action: a.history,
	}
}

// recoverRescan returns the command `loop recover rescan`.
func (a *app) recoverRescan() *cli.Command {
	return &cli.Command{
		Name:  "rescan",
		Usage: "look for deposits of the address that is in place",
		Description: "Walks the chain from the birthday of the " +
			"static address and makes deposits known\nthat " +
			"lnd's wallet cannot see, for example after lnd was " +
			"restored from its seed.",
		Flags: []cli.Flag{detachFlag(), jsonFlag()},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return a.start(
				ctx, cmd, &recoveryrpc.StartRecoveryRequest{
					Kind: string(states.Rescan),
				},
			)
		},
	}
}

// refuseMisplaced refuses flags of `loop recover` itself before the name of a
// command below it, which would not see them.
func refuseMisplaced(ctx context.Context, cmd *cli.Command) (context.Context,
	error) {

	below := cmd.Command(cmd.Args().First())
	if below == nil || len(cmd.LocalFlagNames()) == 0 {
		return ctx, nil
	}

	return ctx, usageError(cmd, fmt.Sprintf("write the flags of %q after "+
		"its name", below.Name))
}

// startRestore begins a restore, or shows the latest recovery if asked to.
func (a *app) startRestore(ctx context.Context, cmd *cli.Command) error {
	path, token := cmd.String(backupFileName), cmd.String(tokenIDName)
	choose := cmd.IsSet(backupFileName) || cmd.IsSet(tokenIDName)

	switch {
	case cmd.Bool(statusName) || cmd.Bool(watchName):
		if choose || cmd.Bool(detachName) || cmd.Bool(dryRunName) {
			return usageError(cmd, "--status and --watch begin "+
				"nothing and take no other choice")
		}

		return a.status(ctx, cmd)

	case cmd.IsSet(backupFileName) && cmd.IsSet(tokenIDName):
		return usageError(cmd, "--backup_file and --token_id "+
			"exclude each other")
	}

	request := &recoveryrpc.StartRecoveryRequest{
		Kind: string(states.Restore),
	}
	switch {
	case cmd.IsSet(backupFileName):
		file, err := a.readBackup(path)
		if err != nil {
			return err
		}
		request.Choice = &recoveryrpc.StartRecoveryRequest_BackupFile{
			BackupFile: file,
		}

	case cmd.IsSet(tokenIDName):
		token = strings.ToLower(token)
		id, err := hex.DecodeString(token)
		if err != nil || len(id) != tokenIDSize {
			return usageError(cmd, fmt.Sprintf("--token_id "+
				"takes %d hex digits", 2*tokenIDSize))
		}
		request.Choice = &recoveryrpc.StartRecoveryRequest_TokenId{
			TokenId: token,
		}
	}

	if cmd.Bool(dryRunName) {
		return a.planRestore(ctx, cmd, request)
	}

	return a.start(ctx, cmd, request)
}

// readBackup reads a backup file of this machine. Whether it is one is for
// loopd to judge: it has the key.
func (a *app) readBackup(path string) (*recoveryrpc.BackupFile, error) {
	if path == standardInput {
		return a.readSent()
	}

	path = expandPath(path)
	content, err := readBounded(path, recoveryrpc.MaxBackupFile)
	if err != nil {
		code := exitFailure
		if errors.Is(err, fs.ErrNotExist) {
			code = exitNotFound
		}

		return nil, &userError{
			code: code,
			what: fmt.Sprintf("The backup file cannot be read: "+
				"%v", err),
			untouched: "Nothing was sent to loopd.",
			next:      "loop backup list",
			cause:     err,
		}
	}

	return &recoveryrpc.BackupFile{
		Name: filepath.Base(path), Content: content,
	}, nil
}

// readSent reads a backup file from standard input. It has no name.
func (a *app) readSent() (*recoveryrpc.BackupFile, error) {
	content, err := readLimited(a.in, recoveryrpc.MaxBackupFile)
	if err != nil {
		return nil, &userError{
			code:      exitFailure,
			what:      fmt.Sprintf("standard input: %v", err),
			untouched: "Nothing was sent to loopd.",
			next:      "loop backup list",
			cause:     err,
		}
	}

	return &recoveryrpc.BackupFile{Content: content}, nil
}

// start begins a run and follows it.
func (a *app) start(ctx context.Context, cmd *cli.Command,
	request *recoveryrpc.StartRecoveryRequest) error {

	if err := noArguments(cmd); err != nil {
		return err
	}
	client, err := newClient(cmd)
	if err != nil {
		return err
	}
	defer client.close()

	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, err := client.StartRecovery(call, request)
	if err != nil {
		return err
	}

	return a.begun(ctx, cmd, client, response, response.GetRun(), 1)
}

// begun reports a run that was begun or resumed, and follows it unless told
// not to. The first event shown is the one with the given number.
func (a *app) begun(ctx context.Context, cmd *cli.Command, client *client,
	response proto.Message, run *recoveryrpc.Run, fromSeq uint64) error {

	if !cmd.Bool(detachName) {
		return a.follow(ctx, cmd, client, run, fromSeq)
	}
	if cmd.Bool(jsonName) {
		return printJSON(a.out, response)
	}

	_, err := fmt.Fprintf(a.out, "Recovery %s is under way.\n"+
		"Follow it with: loop recover status --watch\n",
		clean(run.GetId()))

	return err
}

// status shows a run, or follows it.
func (a *app) status(ctx context.Context, cmd *cli.Command) error {
	id, err := oneArgument(cmd)
	if err != nil {
		return err
	}
	client, err := newClient(cmd)
	if err != nil {
		return err
	}
	defer client.close()

	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, err := client.GetRecovery(
		call, &recoveryrpc.GetRecoveryRequest{Id: id},
	)
	if err != nil {
		return unansweredStatus(err)
	}

	run := response.GetRun()
	if cmd.Bool(watchName) && run != nil {
		return a.follow(ctx, cmd, client, run, 1)
	}

	if cmd.Bool(jsonName) {
		err = printJSON(a.out, response)
	} else {
		err = a.print(statusText(response))
	}

	if err != nil {
		return err
	}

	if err := runStatus(run); err != nil {
		return err
	}

	return daemonStatus(response.GetDaemon())
}

// daemonStatus returns the exit status that the state of the swap client calls
// for, or nil.
func daemonStatus(daemon *recoveryrpc.DaemonStatus) error {
	if daemon.GetNeedsPerson() {
		return exitStatus(exitBlocked)
	}

	return nil
}

// resume leads a blocked run on and follows it.
func (a *app) resume(ctx context.Context, cmd *cli.Command) error {
	id, err := oneArgument(cmd)
	if err != nil {
		return err
	}
	client, err := newClient(cmd)
	if err != nil {
		return err
	}
	defer client.close()

	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, err := client.ResumeRecovery(
		call, &recoveryrpc.ResumeRecoveryRequest{Id: id},
	)
	if err != nil {
		return err
	}

	run := response.GetRun()

	return a.begun(ctx, cmd, client, response, run, run.GetLastSeq()+1)
}

// cancel ends a run.
func (a *app) cancel(ctx context.Context, cmd *cli.Command) error {
	id, err := oneArgument(cmd)
	if err != nil {
		return err
	}
	response, err := ask(
		ctx, cmd, callTimeout,
		recoveryrpc.RecoveryClient.CancelRecovery,
		&recoveryrpc.CancelRecoveryRequest{Id: id},
	)
	if err != nil {
		return err
	}

	if cmd.Bool(jsonName) {
		return printJSON(a.out, response)
	}

	return a.print(cancelText(response.GetRun()))
}

// list shows all runs.
func (a *app) list(ctx context.Context, cmd *cli.Command) error {
	if err := noArguments(cmd); err != nil {
		return err
	}
	most := cmd.Uint(maxRunsName)
	if most == 0 || most > recoveryrpc.MaxRuns {
		return usageError(cmd, fmt.Sprintf("--max_runs takes 1 to %d",
			recoveryrpc.MaxRuns))
	}
	response, err := ask(
		ctx, cmd, callTimeout,
		recoveryrpc.RecoveryClient.ListRecoveries,
		&recoveryrpc.ListRecoveriesRequest{
			MaxRuns: uint32(most),
		},
	)
	if err != nil {
		return err
	}

	if cmd.Bool(jsonName) {
		return printJSON(a.out, response)
	}

	return a.print(listText(response.GetRuns()))
}

// history shows the events of a run.
func (a *app) history(ctx context.Context, cmd *cli.Command) error {
	id, err := oneArgument(cmd)
	if err != nil {
		return err
	}
	response, err := ask(
		ctx, cmd, callTimeout,
		recoveryrpc.RecoveryClient.GetHistory,
		&recoveryrpc.GetHistoryRequest{Id: id},
	)
	if err != nil {
		return err
	}

	if cmd.Bool(jsonName) {
		return printJSON(a.out, response)
	}

	return a.print(historyText(response))
}

// noArguments refuses arguments that are not flags: a mistyped command must
// not begin a recovery.
func noArguments(cmd *cli.Command) error {
	if cmd.NArg() > 0 {
		return usageError(cmd, fmt.Sprintf("%q is not understood",
			cmd.Args().First()))
	}

	return nil
}

// oneArgument returns the only argument, or "" if there is none.
func oneArgument(cmd *cli.Command) (string, error) {
	if cmd.NArg() > 1 {
		return "", usageError(cmd, "more than one argument")
	}

	return cmd.Args().First(), nil
}

// runStatus returns the exit status that a run's state calls for, or nil.
func runStatus(run *recoveryrpc.Run) error {
	switch {
	case isStopped(run):
		return exitStatus(exitBlocked)

	case states.State(run.GetState()) == states.Cancelled:
		return exitStatus(exitCancelled)

	default:
		return nil
	}
}

// print writes text to standard output.
func (a *app) print(text string) error {
	_, err := fmt.Fprint(a.out, text)

	return err
}
