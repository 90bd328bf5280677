// Command demo loses a Loop client and brings it back, on real nodes: btcd, two
// lnds, a stand-in for the Loop server that sells tokens for real Lightning
// payments, and loopd. It needs no root, touches nothing outside a temporary
// directory, and takes less than three minutes.
//
//	demo -bin DIR
//
// Its last line is "demo: ok deposits=3 recovered=3 swept=3 seconds=S" and its
// exit code 0, or the last line says what went wrong and the code is 1.
//
// With KEEP=1 in the environment it leaves everything running at the end,
// prints commands to play with, and stops when interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// demoTimeout bounds the whole demo, and is never reached on a machine that can
// run it.
const demoTimeout = 15 * time.Minute

func main() {
	bin := flag.String("bin", "bin", "the directory of the programs")
	flag.Parse()

	ctx, stop := signal.NotifyContext(
		context.Background(), os.Interrupt, syscall.SIGTERM,
	)
	defer stop()

	result, err := run(ctx, *bin)
	if err != nil {
		fmt.Printf("demo: failed: %v\n", err)
		os.Exit(1)
	}
	fmt.Println(result)
}

// run tells the story in a temporary directory. The logs of a story that failed
// are kept.
func run(ctx context.Context, bin string) (string, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "loop-demo-")
	if err != nil {
		return "", err
	}

	d := &demo{bin: bin, dir: dir, started: time.Now()}
	result, err := d.tell(ctx)
	if err == nil && os.Getenv("KEEP") != "" {
		fmt.Println(result)
		d.play(ctx)
		result = "demo: stopped"
	}
	if stopErr := d.stop(); stopErr != nil {
		err = errors.Join(err, stopErr)
	}
	if err != nil {
		return "", d.keepLogs(err)
	}

	return result, os.RemoveAll(dir)
}

// keepLogs removes everything but the logs of a story that failed and says
// where they are.
func (d *demo) keepLogs(err error) error {
	entries, readErr := os.ReadDir(d.dir)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	for _, entry := range entries {
		if entry.Name() == logDirName {
			continue
		}
		removeErr := os.RemoveAll(filepath.Join(d.dir, entry.Name()))
		err = errors.Join(err, removeErr)
	}

	fmt.Printf("\nThe logs are in %s\n", d.logDir())

	return err
}
