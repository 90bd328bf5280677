//go:build !linux && !windows

package durable

import (
	"errors"
	"fmt"
)

// RenameNoReplace implements Renamer: it is not tried here, where hard
// links do.
func (osFS) RenameNoReplace(_, _ string) error {
	return fmt.Errorf("renameat2: %w", errors.ErrUnsupported)
}
