package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/loop/looprpc"
	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
)

const (
	// firstDeposit is the value of the deposit that is swept before the
	// disaster.
	firstDeposit btcutil.Amount = 500_000

	// recoveryWindow is the look-ahead with which the rebuilt lnd looks for
	// its ordinary coins.
	recoveryWindow = 100
)

// laterDeposits are the values of the deposits that the disaster strikes. The
// last one is still in the mempool then.
var laterDeposits = []btcutil.Amount{1_000_000, 700_000, 300_000}

// plot is what the chapters of the story hand on.
type plot struct {
	// address is the static address.
	address string

	// deposits are the outputs that the disaster strikes, in the order of
	// laterDeposits.
	deposits []wire.OutPoint

	// heights are their confirmation heights; the last one's is known
	// after the recovery only.
	heights []int32

	// backupName and backup are the file that survives.
	backupName string
	backup     []byte

	// words are the client's 24 words.
	words []string

	// swept is how the deposits came back in the end.
	swept *sweep
}

// tell tells the whole story and returns its last line.
func (d *demo) tell(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()

	p := &plot{}
	for _, chapter := range []struct {
		title string
		tell  func(context.Context, *plot) error
	}{
		{"Start btcd, two lnds with a channel, a swap server and loopd",
			d.startAll},
		{"Buy a token, make a static address", d.makeAddress},
		{"An ordinary day: a deposit expires and is swept",
			d.ordinaryDay},
		{"Three more deposits, one still unconfirmed", d.depositMore},
		{"The backup", d.showBackup},
		{"The disaster: loopd's directory and the lnd are gone",
			d.destroy},
		{"lnd again, from its 24 words", d.rebuildLnd},
		{"loopd again, with nothing but the backup file", d.recover},
		{"The deposits are back", d.listRecovered},
		{"They expire and are swept", d.sweepRecovered},
	} {
		d.begin(chapter.title)
		if err := chapter.tell(ctx, p); err != nil {
			return "", fmt.Errorf("%s: %w", chapter.title, err)
		}
	}

	return d.conclude(p), nil
}

// startAll starts everything.
func (d *demo) startAll(ctx context.Context, _ *plot) error {
	err := regtest.CheckBinaries(
		d.bin, "btcd", "lnd", "lncli", "loop", "loop-upstream",
		regtest.LoopdBinary,
	)
	if err != nil {
		return err
	}
	d.network, err = regtest.NewNetwork(ctx, regtest.Config{
		BinDir: d.bin, BaseDir: d.dir, LogDir: d.logDir(),
	})
	if err != nil {
		return err
	}
	d.say("btcd, the client's lnd, the server's lnd, a channel of theirs")
	d.say("a swap server that sells its tokens for Lightning payments")

	d.loopd, err = d.network.StartLoopd(ctx, regtest.LoopdConfig{})
	if err != nil {
		return err
	}
	d.say("loopd, which found no backup and bought nothing (%d asked)",
		d.network.Swap.Challenges())

	return nil
}

// makeAddress makes a static address, which buys a token.
func (d *demo) makeAddress(ctx context.Context, p *plot) error {
	return d.loopd.Swap(func(client looprpc.SwapClientClient) error {
		address, err := client.NewStaticAddress(
			ctx, &looprpc.NewStaticAddressRequest{},
		)
		if err != nil {
			return err
		}
		tokens, err := client.GetL402Tokens(
			ctx, &looprpc.TokensRequest{},
		)
		if err != nil {
			return err
		}
		if len(tokens.Tokens) != 1 {
			return fmt.Errorf("there are %d tokens, not one",
				len(tokens.Tokens))
		}
		p.address = address.Address
		d.say("a token for %d sat over Lightning, and the address",
			tokens.Tokens[0].AmountPaidMsat/1000)
		d.say("%s", address.Address)
		d.say("its coins can be swept without the server after %d "+
			"blocks", address.Expiry)

		return nil
	})
}

// ordinaryDay shows a deposit's life without a disaster.
func (d *demo) ordinaryDay(ctx context.Context, p *plot) error {
	outpoint, err := d.network.Btcd.Fund(p.address, firstDeposit)
	if err != nil {
		return err
	}
	height, err := d.network.Mine(ctx, 1)
	if err != nil {
		return err
	}
	d.say("paid %v to the address in block %d", firstDeposit, height)
	_, err = d.waitDeposits(ctx, []wire.OutPoint{*outpoint})
	if err != nil {
		return err
	}
	swept, err := d.waitSwept(ctx, []wire.OutPoint{*outpoint}, height)
	if err != nil {
		return err
	}
	d.say("swept: the wallet has %v of it, the rest is the fee",
		swept.received)

	return nil
}

// depositMore makes the deposits that the disaster strikes.
func (d *demo) depositMore(ctx context.Context, p *plot) error {
	last := len(laterDeposits) - 1
	for i, amount := range laterDeposits {
		outpoint, err := d.network.Btcd.Fund(p.address, amount)
		if err != nil {
			return err
		}
		p.deposits = append(p.deposits, *outpoint)
		if i == last {
			d.say("paid %v, waiting in the mempool", amount)

			return nil
		}
		height, err := d.network.Mine(ctx, 1)
		if err != nil {
			return err
		}
		p.heights = append(p.heights, height)
		d.say("paid %v, confirmed in block %d", amount, height)
	}

	return nil
}

// showBackup lists the backups and keeps a copy of the file.
func (d *demo) showBackup(ctx context.Context, p *plot) error {
	_, err := d.waitDeposits(ctx, p.deposits[:len(p.heights)])
	if err != nil {
		return err
	}
	if err := d.loop(ctx, "backup", "list"); err != nil {
		return err
	}
	files, err := filepath.Glob(
		filepath.Join(d.loopd.DataDir(), "*.lrb"),
	)
	if err != nil {
		return err
	}
	if len(files) != 1 {
		return fmt.Errorf("there are %d backup files, not one",
			len(files))
	}
	p.backupName = filepath.Base(files[0])
	p.backup, err = os.ReadFile(files[0])
	d.say("a copy of that file is all that will be left of loopd")

	return err
}

// destroy removes loopd and its lnd from the world.
func (d *demo) destroy(_ context.Context, p *plot) error {
	p.words = d.network.Client.Words()
	err := errors.Join(d.loopd.Kill(), d.network.Client.Destroy())
	if err != nil {
		return err
	}
	if err := d.loopd.Wipe(); err != nil {
		return err
	}
	d.say("both killed, both directories removed")

	return nil
}

// rebuildLnd makes a new lnd from the words of the old one.
func (d *demo) rebuildLnd(ctx context.Context, p *plot) error {
	lnd, err := d.network.StartLnd(ctx, regtest.LndConfig{
		Name: "lnd-rebuilt", Words: p.words,
		RecoveryWindow: recoveryWindow,
	})
	if err != nil {
		return err
	}
	d.network.Client = lnd
	balance, err := lnd.Balance(ctx)
	if err != nil {
		return err
	}
	d.say("its wallet found %v of ordinary coins", balance)
	d.say("of the static address it knows nothing")

	return nil
}

// recover starts loopd on an empty directory with the backup in it and follows
// the recovery.
func (d *demo) recover(ctx context.Context, p *plot) error {
	err := os.MkdirAll(d.loopd.DataDir(), 0o700)
	if err != nil {
		return err
	}
	path := filepath.Join(d.loopd.DataDir(), p.backupName)
	if err := os.WriteFile(path, p.backup, 0o600); err != nil {
		return err
	}
	challenges := d.network.Swap.Challenges()

	d.loopd.SetLnd(d.network.Client)
	if err := d.loopd.StartListening(ctx); err != nil {
		return err
	}
	if err := d.waitRun(ctx); err != nil {
		return err
	}
	err = d.loop(ctx, "recover", "status", "--watch")
	if err != nil {
		return err
	}
	if err := d.loopd.WaitReady(ctx); err != nil {
		return err
	}

	after, err := os.ReadFile(path)
	switch {
	case err != nil:
		return err

	case !bytes.Equal(after, p.backup):
		return errors.New("the backup file was changed")

	case d.network.Swap.Challenges() != challenges:
		return errors.New("the recovered client asked for a new token")
	}
	d.say("no new token was bought")

	return nil
}

// waitRun waits until loopd has begun a recovery by itself.
func (d *demo) waitRun(ctx context.Context) error {
	return regtest.Eventually(ctx, "the recovery to begin",
		regtest.DefaultTimeout, func(ctx context.Context) error {
			run, err := d.run(ctx)
			if err == nil && run == nil {
				err = errors.New("there is no run")
			}

			return err
		})
}

// run returns the latest recovery, or nil.
func (d *demo) run(ctx context.Context) (*recoveryrpc.Run, error) {
	conn, err := d.loopd.Dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()

	resp, err := recoveryrpc.NewRecoveryClient(conn).GetRecovery(
		ctx, &recoveryrpc.GetRecoveryRequest{},
	)
	if err != nil {
		return nil, err
	}

	return resp.Run, nil
}

// listRecovered checks that every deposit is listed again, with its height.
func (d *demo) listRecovered(ctx context.Context, p *plot) error {
	run, err := d.run(ctx)
	if err != nil {
		return err
	}
	if states.State(run.State) != states.Reconciled || !run.Finished {
		return fmt.Errorf("the recovery ended in %s", run.State)
	}
	if run.Generation.GetAddress() != p.address {
		return fmt.Errorf("the recovered address is %s",
			run.Generation.GetAddress())
	}

	height, err := d.network.Mine(ctx, 1)
	if err != nil {
		return err
	}
	d.say("the unconfirmed deposit confirmed in block %d", height)
	p.heights = append(p.heights, height)
	deposits, err := d.waitDeposits(ctx, p.deposits)
	if err != nil {
		return err
	}
	for i, deposit := range deposits {
		if deposit.ConfirmationHeight != int64(p.heights[i]) ||
			deposit.Value != int64(laterDeposits[i]) {

			return fmt.Errorf("deposit %s came back as %d sat at "+
				"%d", deposit.Outpoint, deposit.Value,
				deposit.ConfirmationHeight)
		}
	}

	if err := d.loop(ctx, "static", "listdeposits"); err != nil {
		return err
	}
	seen, err := d.seenByLnd(ctx, p.deposits)
	d.say("lnd's own wallet sees %d of them: it never looks back for a "+
		"script that was imported later", seen)

	return err
}

// sweepRecovered waits for the timeouts of the recovered deposits.
func (d *demo) sweepRecovered(ctx context.Context, p *plot) error {
	var err error
	p.swept, err = d.waitSwept(
		ctx, p.deposits, p.heights[len(p.heights)-1],
	)
	if err != nil {
		return err
	}
	d.say("all %d are swept and confirmed; the wallet gained %v",
		len(p.deposits), p.swept.received)

	return nil
}

// conclude prints what was before the disaster and what there is after it, and
// returns the last line.
func (d *demo) conclude(p *plot) string {
	fmt.Printf("\n  %-18s %14s %8s   %14s  %s\n", "deposit", "before",
		"block", "after", "swept by")
	var sum btcutil.Amount
	for i, deposit := range p.deposits {
		for txid, tx := range p.swept.txs {
			for _, in := range tx.TxIn {
				if in.PreviousOutPoint != deposit {
					continue
				}
				fmt.Printf("  %-18.16s %14v %8d   "+
					"%14s  %.16s\n",
					deposit.String(), laterDeposits[i],
					p.heights[i], "in lnd's wallet", txid)
			}
		}
		sum += laterDeposits[i]
	}
	fmt.Printf("  %-18s %14v %8s   %14v  fees %v\n\n", "together", sum, "",
		p.swept.received, sum-p.swept.received)

	return fmt.Sprintf("demo: ok deposits=%d recovered=%d swept=%d "+
		"seconds=%.0f", len(laterDeposits), len(p.heights),
		len(p.deposits), time.Since(d.started).Seconds())
}
