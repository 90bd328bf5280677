package main

import (
	"context"
	"fmt"
	"time"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/urfave/cli/v3"
)

// backupName is the name of the command about backup files.
const backupName = "backup"

// backup returns the command `loop backup` with everything below it.
func (a *app) backup() *cli.Command {
	return &cli.Command{
		Name:  backupName,
		Usage: "look after the backups that loopd keeps",
		Description: "loopd writes an encrypted backup of every " +
			"paid L402 token and its static address\nby itself.",
		Commands: []*cli.Command{
			{
				Name: "list",
				Usage: "list and judge the backups in all " +
					"places",
				Description: "Reads every file that claims " +
					"to be a backup, in every place that " +
					"loopd knows,\nand says what it is " +
					"worth. Nothing is written.",
				Flags:  []cli.Flag{jsonFlag()},
				Action: a.listBackups,
			},
			a.backupVerify(), a.backupInspect(), a.backupCreate(),
			a.backupExport(), a.backupImport(),
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}

			return cli.ShowSubcommandHelp(cmd)
		},
	}
}

// backupVerify returns the command `loop backup verify`.
func (a *app) backupVerify() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "say by the exit code whether backups are in order",
		ArgsUsage: "[FILE]",
		Description: "Judges a file of this machine, or without one " +
			"every backup in every place, and\nends with the " +
			"code of the verdict. Nothing is written.",
		Flags:  []cli.Flag{jsonFlag()},
		Action: a.verifyBackup,
	}
}

// backupCreate returns the command `loop backup create`.
func (a *app) backupCreate() *cli.Command {
	return &cli.Command{
		Name:  "create",
		Usage: "write the backup wherever it is missing",
		Description: "Makes sure that every place holds a backup of " +
			"the L402 token and static address\nin use, and says " +
			"how it went in each. What is there is left as it is.",
		Flags:  []cli.Flag{acceptPairFlag(), yesFlag(), jsonFlag()},
		Action: a.createBackup,
	}
}

// listBackups shows every backup file.
func (a *app) listBackups(ctx context.Context, cmd *cli.Command) error {
	if err := noArguments(cmd); err != nil {
		return err
	}
	_, err := a.showBackups(ctx, cmd)

	return err
}

// showBackups shows every backup file and returns the answer.
func (a *app) showBackups(ctx context.Context, cmd *cli.Command) (
	*recoveryrpc.ListBackupsResponse, error) {

	response, err := ask(
		ctx, cmd, judgeTimeout, recoveryrpc.RecoveryClient.ListBackups,
		&recoveryrpc.ListBackupsRequest{},
	)
	if err != nil {
		return nil, err
	}

	if cmd.Bool(jsonName) {
		return response, printJSON(a.out, response)
	}

	return response, a.print(backupsText(response, a.now()))
}

// verifyBackup judges one file, or all of them.
func (a *app) verifyBackup(ctx context.Context, cmd *cli.Command) error {
	path, err := oneArgument(cmd)
	if err != nil {
		return err
	}
	if path == "" {
		return a.verifyAll(ctx, cmd)
	}

	file, err := a.readBackup(path)
	if err != nil {
		return err
	}
	response, err := ask(
		ctx, cmd, judgeTimeout, recoveryrpc.RecoveryClient.VerifyBackup,
		&recoveryrpc.VerifyBackupRequest{File: file},
	)
	if err != nil {
		return err
	}

	judged := response.GetBackup()
	if cmd.Bool(jsonName) {
		err = printJSON(a.out, response)
	} else {
		var r report
		r.backup(judged)
		err = a.print(r.String())
	}
	if err != nil {
		return err
	}

	return verdictStatus(judged.GetVerdict())
}

// verifyAll judges every file in every place. The code is that of the first
// file that is not in order; files of other seeds and networks are not ours to
// complain of.
func (a *app) verifyAll(ctx context.Context, cmd *cli.Command) error {
	response, err := a.showBackups(ctx, cmd)
	if err != nil {
		return err
	}

	for _, file := range response.GetBackups() {
		switch backup.Verdict(file.GetVerdict()) {
		case backup.OtherSeed, backup.OtherNetwork:
			continue
		}
		err := verdictStatus(file.GetVerdict())
		if err != nil {
			return err
		}
	}
	if len(response.GetPlaceErrors())+len(response.GetBehind()) > 0 {
		return exitStatus(exitFailure)
	}

	return nil
}

// verdictStatus returns the exit status of a verdict, nil if it is ok.
func verdictStatus(verdict string) error {
	code := backup.Verdict(verdict).ExitCode()
	if code == exitOK {
		return nil
	}

	return exitStatus(code)
}

// placesText tells how publishing a backup went in each place.
func placesText(places []*recoveryrpc.PlaceOutcome) string {
	var r report
	for _, place := range places {
		outcome := place.GetStatus()
		if place.GetError() != "" {
			outcome += ": " + place.GetError()
		}
		r.line("Place", place.GetPlace())
		r.line("  backup", outcome)
		if place.GetError() == "" {
			r.line("  file", place.GetPath())
		}
		for _, path := range place.GetInTheWay() {
			r.line("  left alone", path+" has the backup's name "+
				"and is not the backup")
		}
	}

	return r.String()
}

// placesStatus returns the exit status of publishing a backup: nil if every
// place has it.
func placesStatus(places []*recoveryrpc.PlaceOutcome) error {
	for _, place := range places {
		if place.GetError() != "" {
			return exitStatus(exitFailure)
		}
	}

	return nil
}

// backupsText tells every file, a paragraph each, sorted by generation as the
// daemon sends them; then the places that could not be read or lack a copy.
func backupsText(response *recoveryrpc.ListBackupsResponse,
	now time.Time) string {

	var r report
	if len(response.GetBackups()) == 0 {
		r.WriteString("No backup was found.\n")
	}

	for i, file := range response.GetBackups() {
		if i > 0 {
			r.WriteString("\n")
		}
		r.backup(file)
		if file.GetModified() != nil {
			r.line("  written", agoText(file.GetModified(), now))
		}
		if file.GetLastVerified() != nil {
			r.line("  verified", agoText(
				file.GetLastVerified(), now,
			))
		}
	}

	for _, place := range response.GetPlaceErrors() {
		r.line("Unreadable", fmt.Sprintf("%s: %s", place.GetPlace(),
			place.GetError()))
	}
	for _, lag := range response.GetBehind() {
		r.line("Missing", fmt.Sprintf("%s has no backup of token %s "+
			"since %s: %s", lag.GetPlace(), lag.GetTokenId(),
			agoText(lag.GetSince(), now), lag.GetError()))
	}

	return r.String()
}

// backup adds what is known about a file.
func (r *report) backup(file *recoveryrpc.Backup) {
	r.line("Backup", file.GetPath())
	r.line("  verdict", withDetail(
		file.GetVerdict(), file.GetDetail(),
	))
	verdict := backup.Verdict(file.GetVerdict())
	if reason := verdict.Reason(); reason != "" {
		r.line("  next", states.ExplainWithoutRun(reason).Next)
	}
	r.line("  token", file.GetTokenId())
	if file.GetTokenCreated() != nil {
		r.line("  made", timeText(file.GetTokenCreated()))
	}
	r.line("  network", file.GetNetwork())
	r.line("  format", file.GetFormat())
	r.line("  sha256", file.GetSha256())
	r.line("  size", plural(file.GetSize(), "byte"))
}
