// Command powercut tries every power cut and every failing disk on everything
// that writes a token or a backup: see package powercut.
package main

import (
	"fmt"
	"os"

	"github.com/looprecovery/looprecovery/internal/durable/powercut"
)

// main searches, and prints the result as its last line.
func main() {
	result, err := powercut.Run(func(line string) { fmt.Println(line) })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, violation := range result.Violations {
		fmt.Println(violation)
	}
	fmt.Println(result)
	if !result.OK() {
		os.Exit(1)
	}
}
