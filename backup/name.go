package backup

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// namePattern matches the name of a backup: the token's creation time in unix
// nanoseconds, 19 digits, and its id; and, if a file under that name was in the
// way, a number from 1 on.
var namePattern = regexp.MustCompile(
	`^loop_recovery_([0-9]{19})_([0-9a-f]{64})(?:\.([1-9][0-9]?))?\.lrb$`,
)

// maxCopies is the highest number that a free name is looked for with.
const maxCopies = 99

// FileName returns the name of a generation's backup.
func FileName(tokenID [32]byte, created time.Time) string {
	return fileName(tokenID, created, 0)
}

// fileName returns a name with a number; 0 stands for none.
func fileName(tokenID [32]byte, created time.Time, number int) string {
	suffix := ""
	if number > 0 {
		suffix = fmt.Sprintf(".%d", number)
	}

	return fmt.Sprintf("loop_recovery_%019d_%s%s.lrb", created.UnixNano(),
		hex.EncodeToString(tokenID[:]), suffix)
}

// ParseName returns what a backup's name says, and whether it is one. It
// accepts only what FileName returns, or that with a number.
func ParseName(name string) (tokenID [32]byte, created time.Time, ok bool) {
	parts := namePattern.FindStringSubmatch(name)
	if parts == nil {
		return tokenID, created, false
	}
	nanoseconds, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return tokenID, created, false
	}
	if _, err := hex.Decode(tokenID[:], []byte(parts[2])); err != nil {
		return tokenID, created, false
	}

	return tokenID, time.Unix(0, nanoseconds), true
}
