package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
)

// logDirName is the directory of the nodes' logs in the demo's directory.
const logDirName = "logs"

// margin stands in front of the output of other programs.
const margin = "    | "

// demo is the story while it is told.
type demo struct {
	bin     string
	dir     string
	started time.Time
	chapter int

	network *regtest.Network
	loopd   *regtest.Loopd
}

// logDir is the directory of the nodes' logs.
func (d *demo) logDir() string {
	return filepath.Join(d.dir, logDirName)
}

// begin announces a chapter.
func (d *demo) begin(title string) {
	d.chapter++
	fmt.Printf("\n[%3.0fs] %d. %s\n", time.Since(d.started).Seconds(),
		d.chapter, title)
}

// say tells one thing.
func (d *demo) say(format string, args ...any) {
	fmt.Printf("       "+format+"\n", args...)
}

// loop runs our command line, shows the command and its output as it comes,
// and fails if the command does.
func (d *demo) loop(ctx context.Context, args ...string) error {
	fmt.Printf("       $ loop %s\n", strings.Join(args, " "))

	out := &indented{out: os.Stdout, start: true}
	cmd := d.loopd.Command(ctx, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("loop %s: %w", strings.Join(args, " "), err)
	}

	return nil
}

// play prints commands to try on the running nodes and waits for an interrupt.
func (d *demo) play(ctx context.Context) {
	client := d.network.Client
	fmt.Printf(`
Everything is still running; its files are in %s. Try:

  %s %s recover list
  %[2]s %[3]s static listdeposits
  %s --network=regtest --lnddir=%s --rpcserver=%s walletbalance

Press Ctrl-C to stop and remove it.
`, d.dir, filepath.Join(d.bin, "loop"),
		strings.Join(d.loopd.CLIFlags(), " "),
		filepath.Join(d.bin, "lncli"), client.Dir(),
		client.RPCAddress())

	<-ctx.Done()
}

// stop ends every process.
func (d *demo) stop() error {
	if d.network == nil {
		return nil
	}

	return d.network.Stop()
}

// indented is a writer that puts the margin in front of every line.
type indented struct {
	out   io.Writer
	start bool
}

// Write implements io.Writer.
func (i *indented) Write(text []byte) (int, error) {
	var buf bytes.Buffer
	for _, b := range text {
		if i.start {
			buf.WriteString(margin)
		}
		buf.WriteByte(b)
		i.start = b == '\n'
	}
	_, err := i.out.Write(buf.Bytes())

	return len(text), err
}
