// Command diagram prints the state machines as a Markdown page. With -check it
// compares the page with a file instead and fails if they differ.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/looprecovery/looprecovery/states"
)

func main() {
	check := flag.String("check", "", "compare with this file")
	out := flag.String("out", "", "write to this file")
	flag.Parse()

	if err := run(*check, *out); err != nil {
		fmt.Fprintln(os.Stderr, "diagram:", err)
		os.Exit(1)
	}
}

// run prints, writes or compares the page.
func run(check, out string) error {
	page := states.Diagram()
	switch {
	case check != "":
		found, err := os.ReadFile(check)
		if err != nil {
			return err
		}
		if string(found) != page {
			return fmt.Errorf("%s is not what the tables say: "+
				"run 'make generate'", check)
		}

		return nil

	case out != "":
		return os.WriteFile(out, []byte(page), 0o644)
	}

	_, err := os.Stdout.WriteString(page)

	return err
}
