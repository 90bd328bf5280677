//go:build !linux

package durable

import (
	"errors"
	"fmt"
)

// RenameNoReplace implements Renamer: it is not tried outside Linux, where hard
// links do.
func (osFS) RenameNoReplace(_, _ string) error {
	return fmt.Errorf("renameat2: %w", errors.ErrUnsupported)
}
