package main

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/urfave/cli/v3"
)

// secretsName is the name of the flag that shows the token.
const secretsName = "secrets"

// backupInspect returns the command `loop backup inspect`.
func (a *app) backupInspect() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "show what is in a backup",
		ArgsUsage: "FILE",
		Description: "Shows the header of a file of this machine, " +
			"for which no key and no loopd is\nneeded, and then, " +
			"if loopd can open it, what it holds. Nothing is " +
			"written.",
		Flags: []cli.Flag{
			&cli.BoolFlag{
				Name: secretsName, Local: true,
				Usage: "show the L402 token too: whoever has " +
					"it can act as you",
			},
			jsonFlag(),
		},
		Action: a.inspectBackup,
	}
}

// inspectBackup shows header and contents of a file.
func (a *app) inspectBackup(ctx context.Context, cmd *cli.Command) error {
	path, err := fileArgument(cmd)
	if err != nil {
		return err
	}
	file, err := a.readBackup(path)
	if err != nil {
		return err
	}

	// The header needs no loopd, and is shown before it is asked.
	if !cmd.Bool(jsonName) {
		if err := a.print(headerText(file)); err != nil {
			return err
		}
	}

	if cmd.Bool(secretsName) {
		revealed, err := ask(
			ctx, cmd, judgeTimeout,
			recoveryrpc.RecoveryClient.RevealBackup,
			&recoveryrpc.RevealBackupRequest{File: file},
		)
		if err != nil {
			return err
		}
		if cmd.Bool(jsonName) {
			return judgedJSON(a, revealed.GetBackup(), revealed)
		}

		return a.printBody(revealed.GetBackup(), revealed.GetBody(),
			hex.EncodeToString(revealed.GetToken()))
	}

	inspected, err := ask(
		ctx, cmd, judgeTimeout,
		recoveryrpc.RecoveryClient.InspectBackup,
		&recoveryrpc.InspectBackupRequest{File: file},
	)
	if err != nil {
		return err
	}
	if cmd.Bool(jsonName) {
		return judgedJSON(a, inspected.GetBackup(), inspected)
	}

	return a.printBody(inspected.GetBackup(), inspected.GetBody(),
		"hidden; --secrets shows it")
}

// fileArgument returns the only argument, which must be there.
func fileArgument(cmd *cli.Command) (string, error) {
	path, err := oneArgument(cmd)
	if err == nil && path == "" {
		err = usageError(cmd, "FILE is missing")
	}

	return path, err
}

// headerText tells what a file says to anybody.
func headerText(file *recoveryrpc.BackupFile) string {
	var r report
	r.line("File", fmt.Sprintf("%s, %s", file.GetName(),
		plural(int64(len(file.GetContent())), "byte")))

	if backup.FormatOf(file.GetContent()) == backup.Legacy {
		r.line("Format", string(backup.Legacy)+
			", which has no readable header")

		return r.String()
	}
	header, err := backup.ReadHeader(file.GetContent())
	if err != nil {
		r.line("Header", err.Error())

		return r.String()
	}
	r.line("Format", fmt.Sprintf("%s, version %d", backup.Native,
		header.Version))
	r.line("Network", header.Network)
	r.line("Token", hex.EncodeToString(header.TokenID[:]))
	r.line("  made", header.TokenCreated.UTC().Format(timeLayout))
	r.line("Key check", hex.EncodeToString(header.KeyCheck[:])+
		", the same in all backups of a seed")
	r.line("Encrypted", plural(int64(header.Size), "byte"))

	return r.String()
}

// printBody tells the verdict on a file and what it holds. The token is given
// as it is to be shown.
func (a *app) printBody(judged *recoveryrpc.Backup,
	body *recoveryrpc.BackupBody, token string) error {

	var r report
	r.line("Verdict", withDetail(judged.GetVerdict(), judged.GetDetail()))
	if body != nil {
		r.body(body, token)
	}
	if err := a.print(r.String()); err != nil {
		return err
	}

	return verdictStatus(judged.GetVerdict())
}

// body adds what a backup holds.
func (r *report) body(body *recoveryrpc.BackupBody, token string) {
	made := body.GetGeneration()
	found := ""
	if body.GetIndexSearched() {
		found = "; the index was searched for"
	}
	r.line("Address", made.GetAddress())
	r.line("  protocol", fmt.Sprint(made.GetProtocolVersion()))
	r.line("  expiry", plural(int64(made.GetExpiry()), "block"))
	r.line("  server key", made.GetServerKey())
	r.line("  client key", fmt.Sprintf("%s, key %d/%d%s",
		made.GetClientKey(), made.GetKeyFamily(), made.GetKeyIndex(),
		found))
	r.line("  families", fmt.Sprintf("receive %d, change %d",
		made.GetReceiveFamily(), made.GetChangeFamily()))
	r.line("  first seen", fmt.Sprintf("height %d, families at height %d",
		made.GetFirstHeight(), body.GetFamiliesFirstHeight()))
	r.line("l402.token", fmt.Sprintf("%s, sha256 %s",
		plural(int64(body.GetTokenSize()), "byte"),
		body.GetTokenSha256()))
	r.line("  bytes", token)
}
