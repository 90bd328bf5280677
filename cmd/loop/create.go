package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"github.com/urfave/cli/v3"
)

// The names of the flags of `loop backup create`.
const (
	acceptPairName = "accept_pair"
	yesName        = "yes"
)

// maxAnswer bounds the line that answers a question, in bytes.
const maxAnswer = 100

// acceptPairFlag and yesFlag return the flags with which a person vouches for
// a pair.
func acceptPairFlag() cli.Flag {
	return &cli.BoolFlag{
		Name: acceptPairName, Local: true,
		Usage: "say that token and address belong together although " +
			"the clocks speak against it; shows the times and asks",
	}
}

func yesFlag() cli.Flag {
	return &cli.BoolFlag{
		Name: yesName, Local: true,
		Usage: "do not ask: the answer is yes",
	}
}

// createBackup writes the backup wherever it is missing. A pair that the clocks
// speak against is accepted only after the person has seen what they say.
func (a *app) createBackup(ctx context.Context, cmd *cli.Command) error {
	if err := noArguments(cmd); err != nil {
		return err
	}
	if cmd.Bool(yesName) && !cmd.Bool(acceptPairName) {
		return usageError(cmd, "--yes answers --accept_pair alone")
	}

	request := &recoveryrpc.CreateBackupRequest{}
	response, err := askCreate(ctx, cmd, request)
	reason, _ := recoveryrpc.ReasonOf(err)
	if reason == states.PairUnproven && cmd.Bool(acceptPairName) {
		if err := a.confirmPair(cmd, err); err != nil {
			return err
		}
		request.AcceptPair = true
		response, err = askCreate(ctx, cmd, request)
	}
	if err != nil {
		return err
	}

	return a.printCreated(cmd, response)
}

// askCreate asks loopd to write the backup.
func askCreate(ctx context.Context, cmd *cli.Command,
	request *recoveryrpc.CreateBackupRequest) (
	*recoveryrpc.CreateBackupResponse, error) {

	return ask(
		ctx, cmd, judgeTimeout, recoveryrpc.RecoveryClient.CreateBackup,
		request,
	)
}

// confirmPair shows what the clocks say of a pair and asks.
func (a *app) confirmPair(cmd *cli.Command, doubt error) error {
	_, err := fmt.Fprintf(a.err, "%s\n\nIf this token did not make this "+
		"address, the backup is of no use.\n",
		clean(explain(doubt).what))
	if err != nil || cmd.Bool(yesName) {
		return err
	}
	_, err = fmt.Fprint(a.err, "Do they belong together? (yes/no) ")
	if err != nil {
		return err
	}

	answer, err := bufio.NewReader(
		io.LimitReader(a.in, maxAnswer),
	).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(answer) != "yes" {
		return &userError{
			code:      exitFailure,
			what:      "The pair was not accepted.",
			untouched: "Nothing was written.",
			next:      states.Explain(states.PairUnproven).Next,
		}
	}

	return nil
}

// printCreated tells how it went in each place.
func (a *app) printCreated(cmd *cli.Command,
	response *recoveryrpc.CreateBackupResponse) error {

	var err error
	if cmd.Bool(jsonName) {
		err = printJSON(a.out, response)
	} else {
		err = a.print(pairText(response.GetPair()) +
			placesText(response.GetPlaces()))
	}
	if err != nil {
		return err
	}

	return placesStatus(response.GetPlaces())
}

// pairText tells which pair was accepted, "" if none was.
func pairText(pair *recoveryrpc.PairEvidence) string {
	if pair == nil {
		return ""
	}

	var r report
	r.line("Accepted", "token "+pair.GetTokenId())
	r.line("  bought", timeText(pair.GetTokenCreated()))
	r.line("  address", fmt.Sprintf("made at height %s",
		group(int64(pair.GetAddressHeight()))))
	if pair.GetBlockTime() != nil {
		r.line("  block", timeText(pair.GetBlockTime()))
	}
	if pair.GetNextBlockTime() != nil {
		r.line("  next block", timeText(pair.GetNextBlockTime()))
	}

	return r.String()
}
