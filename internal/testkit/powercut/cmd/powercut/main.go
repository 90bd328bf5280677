// Command powercut tries what package durable promises, on a file system in
// memory that is cut off at every point and, where that is possible, on images
// of ext4. Its last line says how it went; it ends with 1 if not as it should.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/looprecovery/looprecovery/internal/testkit/powercut"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "powercut:", err)
		os.Exit(1)
	}
}

// run tries everything and prints what it finds.
func run() error {
	images, err := powercut.Ext4()
	switch {
	case errors.Is(err, powercut.ErrNoImages):
		fmt.Printf("ext4: not tried: %v\n", err)

	case err != nil:
		return fmt.Errorf("ext4: %w", err)

	default:
		fmt.Printf("ext4: %d images of a mounted file system agree\n",
			images)
	}

	result, err := powercut.Run(func(line string) { fmt.Println(line) })
	if err != nil {
		return err
	}
	for _, violation := range result.Violations {
		fmt.Println("violation:", violation)
	}
	fmt.Println(result)
	if !result.OK() {
		return errors.New("not everything is as it should be")
	}

	return nil
}
