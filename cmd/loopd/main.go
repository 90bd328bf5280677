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
