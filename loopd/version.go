package loopd

import (
	"fmt"

	"github.com/lightninglabs/loop"
)

// recoveryVersion is the version of what is around upstream's daemon.
const recoveryVersion = "0.1.0-dev"

// Version returns upstream's version and ours.
func Version() string {
	return fmt.Sprintf("%s recovery=%s", loop.RichVersion(),
		recoveryVersion)
}
