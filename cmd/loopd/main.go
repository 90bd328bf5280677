// Command loopd is a drop-in replacement of upstream's daemon of the same name,
// with the backup and recovery of static addresses.
package main

import (
	"fmt"
	"os"

	"github.com/looprecovery/looprecovery/loopd"
)

func main() {
	if err := loopd.Main(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "loopd exited with an error: %v\n", err)
		os.Exit(1)
	}
}
