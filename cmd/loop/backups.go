package main

import (
	"context"
	"fmt"

	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/urfave/cli/v3"
)

// backupName is the name of the command about backup files.
const backupName = "backup"

// backup returns the command `loop backup` with everything below it.
func (a *app) backup() *cli.Command {
	return &cli.Command{
		Name:  backupName,
		Usage: "look at the backups that loopd keeps",
		Description: "loopd writes an encrypted backup of every " +
			"paid L402 token and its static address\nby itself.",
		Commands: []*cli.Command{{
			Name:  "list",
			Usage: "list and judge the backups in all places",
			Description: "Reads every file that claims to be a " +
				"backup, in every place that loopd knows,\n" +
				"and says what it is worth. Nothing is " +
				"written.",
			Flags:  []cli.Flag{jsonFlag()},
			Action: a.listBackups,
		}},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}

			return cli.ShowSubcommandHelp(cmd)
		},
	}
}

// listBackups shows every backup file.
func (a *app) listBackups(ctx context.Context, cmd *cli.Command) error {
	if err := noArguments(cmd); err != nil {
		return err
	}
	client, err := newClient(cmd)
	if err != nil {
		return err
	}
	defer client.close()

	call, cancel := context.WithTimeout(ctx, judgeTimeout)
	defer cancel()
	response, err := client.ListBackups(
		call, &recoveryrpc.ListBackupsRequest{},
	)
	if err != nil {
		return err
	}

	if cmd.Bool(jsonName) {
		return printJSON(a.out, response)
	}

	return a.print(backupsText(response))
}

// backupsText tells every file, a paragraph each, and then the places that
// could not be read.
func backupsText(response *recoveryrpc.ListBackupsResponse) string {
	var r report
	if len(response.GetBackups()) == 0 {
		r.WriteString("No backup was found.\n")
	}

	for i, file := range response.GetBackups() {
		if i > 0 {
			r.WriteString("\n")
		}
		r.line("Backup", file.GetPath())
		r.line("  verdict", withDetail(
			file.GetVerdict(), file.GetDetail(),
		))
		r.line("  token", file.GetTokenId())
		if file.GetTokenCreated() != nil {
			r.line("  made", timeText(file.GetTokenCreated()))
		}
		r.line("  network", file.GetNetwork())
		r.line("  sha256", file.GetSha256())
		r.line("  size", plural(file.GetSize(), "byte"))
	}

	for _, place := range response.GetPlaceErrors() {
		r.line("Unreadable", fmt.Sprintf("%s: %s", place.GetPlace(),
			place.GetError()))
	}

	return r.String()
}
