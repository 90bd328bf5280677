package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/urfave/cli/v3"
)

// dryRunName is the name of the flag that only plans a restore.
const dryRunName = "dry_run"

// planRestore shows what a restore would do.
func (a *app) planRestore(ctx context.Context, cmd *cli.Command,
	begin *recoveryrpc.StartRecoveryRequest) error {

	if err := noArguments(cmd); err != nil {
		return err
	}
	request := &recoveryrpc.PlanRestoreRequest{}
	switch choice := begin.GetChoice().(type) {
	case *recoveryrpc.StartRecoveryRequest_BackupFile:
		request.Choice = &recoveryrpc.PlanRestoreRequest_BackupFile{
			BackupFile: choice.BackupFile,
		}

	case *recoveryrpc.StartRecoveryRequest_TokenId:
		request.Choice = &recoveryrpc.PlanRestoreRequest_TokenId{
			TokenId: choice.TokenId,
		}
	}

	response, err := ask(
		ctx, cmd, judgeTimeout, recoveryrpc.RecoveryClient.PlanRestore,
		request,
	)
	if err != nil {
		return err
	}

	if cmd.Bool(jsonName) {
		err = printJSON(a.out, response)
	} else {
		err = a.print(planText(response))
	}
	if err == nil && response.GetObstacle() != nil {
		err = exitStatus(exitBlocked)
	}

	return err
}

// planText tells a plan.
func planText(plan *recoveryrpc.PlanRestoreResponse) string {
	var r report
	r.WriteString("Nothing was written. This is what a restore would " +
		"do:\n\n")
	if file := plan.GetBackup(); file != nil {
		r.line("Backup", file.GetPath())
		r.line("  sha256", file.GetSha256())
		for _, other := range file.GetOthers() {
			r.line("  not chosen", "token "+other)
		}
	}
	if made := plan.GetGeneration(); made != nil {
		r.line("Address", made.GetAddress())
		r.line("Token", made.GetTokenId())
	}
	for _, step := range plan.GetSteps() {
		label := "Would do"
		if !step.GetChanges() {
			label = "No change"
		}
		r.line(label, step.GetState()+": "+step.GetSentence())
	}
	if families := plan.GetFamilies(); len(families) > 0 {
		names := make([]string, len(families))
		for i, family := range families {
			names[i] = fmt.Sprint(family)
		}
		r.line("Searched", fmt.Sprintf("blocks %s to %s, key families "+
			"%s", group(int64(plan.GetBirthday())),
			group(int64(plan.GetTip())), strings.Join(names, ", ")))
	}

	obstacle := plan.GetObstacle()
	switch {
	case obstacle != nil:
		r.line("In the way", fmt.Sprintf("%s in %s: %s",
			obstacle.GetReason(), obstacle.GetState(), withDetail(
				obstacle.GetSentence(), obstacle.GetDetail(),
			)))
		r.line("  next", obstacle.GetNextCommand())

	case plan.GetStopsSwapClient():
		r.line("Swap client", "would be stopped until token and "+
			"address are in place")

	default:
		r.line("Swap client", "would stay up")
	}

	return r.String()
}
