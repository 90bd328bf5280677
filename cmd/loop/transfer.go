package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/urfave/cli/v3"
	"google.golang.org/protobuf/proto"
)

// The names of the flags of `loop backup export`.
const (
	formatName = "format"
	outputName = "output"
)

// exportedPerm are the permissions of an exported backup.
const exportedPerm = 0o600

// backupExport returns the command `loop backup export`.
func (a *app) backupExport() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write a backup to a file of this machine",
		UsageText: "loop backup export [options] -o FILE",
		Description: "Writes the backup of the L402 token in use, or " +
			"of the one named, to a new file;\nan existing file " +
			"is never overwritten. If FILE is a directory the " +
			"backup gets its\nown name in it, under which loopd " +
			"finds it.",
		Flags: []cli.Flag{
			&cli.StringFlag{
				Name: outputName, Local: true,
				Aliases: []string{"o"}, TakesFile: true,
				Usage: "write to this new `FILE`, or into " +
					"this directory",
			},
			&cli.StringFlag{
				Name: tokenIDName, Local: true,
				Usage: "export the backup of the L402 token " +
					"with this `ID`",
			},
			&cli.StringFlag{
				Name: formatName, Local: true,
				Value: string(backup.Native),
				Usage: fmt.Sprintf("the format: %s, or %s "+
					"for other software", backup.Native,
					backup.Legacy),
			},
		},
		Action: a.exportBackup,
	}
}

// backupImport returns the command `loop backup import`.
func (a *app) backupImport() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "put a backup of this machine into loopd's places",
		ArgsUsage: "FILE",
		Description: "Judges the file and, if it is in order, writes " +
			"it to every place in which loopd\nkeeps backups. " +
			"Nothing is ever replaced, and nothing is restored " +
			"yet.",
		Flags:  []cli.Flag{jsonFlag()},
		Action: a.importBackup,
	}
}

// exportBackup fetches a backup and writes it to a new file.
func (a *app) exportBackup(ctx context.Context, cmd *cli.Command) error {
	if err := noArguments(cmd); err != nil {
		return err
	}
	if cmd.String(outputName) == "" {
		return usageError(cmd, "-o FILE is missing")
	}
	response, err := ask(
		ctx, cmd, judgeTimeout, recoveryrpc.RecoveryClient.ExportBackup,
		&recoveryrpc.ExportBackupRequest{
			TokenId: strings.ToLower(cmd.String(tokenIDName)),
			Format:  cmd.String(formatName),
		},
	)
	if err != nil {
		return err
	}

	path, err := writeExport(
		expandPath(cmd.String(outputName)), response.GetFile(),
	)
	if err != nil {
		return err
	}

	return a.print(fmt.Sprintf("Exported to %s\n", clean(path)))
}

// writeExport writes a backup to a new file, or under its own name into a
// directory, and returns its path. When it returns, no power cut takes the file
// away.
func writeExport(path string, file *recoveryrpc.BackupFile) (string, error) {
	files := durable.OS()
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		// The name is the daemon's: it must not lead elsewhere.
		path = filepath.Join(path, filepath.Base(file.GetName()))
	}

	_, err = durable.Publish(
		files, filepath.Dir(path), filepath.Base(path),
		file.GetContent(), exportedPerm,
	)
	switch {
	case errors.Is(err, fs.ErrExist):
		return "", &userError{
			code:      exitFailure,
			what:      path + " exists already.",
			untouched: "It was left alone and nothing was written.",
			next:      "name another file with -o",
			cause:     err,
		}

	case err != nil:
		return "", &userError{
			code: exitFailure,
			what: fmt.Sprintf("The backup cannot be written: %v",
				err),
			untouched: "loopd's own backups were left alone.",
			next:      "name another file with -o",
			cause:     err,
		}
	}

	return path, nil
}

// importBackup sends a file to loopd to be kept.
func (a *app) importBackup(ctx context.Context, cmd *cli.Command) error {
	path, err := fileArgument(cmd)
	if err != nil {
		return err
	}
	file, err := a.readBackup(path)
	if err != nil {
		return err
	}
	response, err := ask(
		ctx, cmd, judgeTimeout, recoveryrpc.RecoveryClient.ImportBackup,
		&recoveryrpc.ImportBackupRequest{File: file},
	)
	if err != nil {
		return err
	}

	if cmd.Bool(jsonName) {
		err = printJSON(a.out, response)
	} else {
		err = a.print(placesText(response.GetPlaces()) + fmt.Sprintf(
			"\nTo restore it where no token is in place: loop "+
				"recover --token_id %s\n",
			clean(response.GetBackup().GetTokenId()),
		))
	}
	if err != nil {
		return err
	}

	return placesStatus(response.GetPlaces())
}

// judgedJSON prints an answer that judges a file and returns the status of the
// verdict.
func judgedJSON(a *app, judged *recoveryrpc.Backup,
	response proto.Message) error {

	if err := printJSON(a.out, response); err != nil {
		return err
	}

	return verdictStatus(judged.GetVerdict())
}
