package backup

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

var (
	// namePattern matches the name of a backup: the token's creation time
	// in unix nanoseconds, 19 digits, and its id; and, if a file under that
	// name was in the way, a number from 1 on.
	namePattern = regexp.MustCompile(`^loop_recovery_([0-9]{19})_` +
		`([0-9a-f]{64})(?:\.([1-9][0-9]?))?\.lrb$`)

	// legacyNamePattern matches the name of a backup in the older format.
	legacyNamePattern = regexp.MustCompile(`^L402_backup_([0-9]{19})_` +
		`([0-9a-f]{64})\.enc$`)
)

// maxCopies is the highest number that a free name is looked for with.
const maxCopies = 99

// FileName returns the name of a generation's backup.
func FileName(tokenID [32]byte, created time.Time) string {
	return fileName(tokenID, created, 0)
}

// LegacyFileName returns its name in the older format.
func LegacyFileName(tokenID [32]byte, created time.Time) string {
	return fmt.Sprintf("L402_backup_%019d_%s.enc", created.UnixNano(),
		hex.EncodeToString(tokenID[:]))
}

// fileName returns a name with a number; 0 stands for none.
func fileName(tokenID [32]byte, created time.Time, number int) string {
	return fmt.Sprintf("loop_recovery_%019d_%s%s.lrb", created.UnixNano(),
		hex.EncodeToString(tokenID[:]), suffix(number))
}

// suffix returns what a number adds to a name.
func suffix(number int) string {
	if number == 0 {
		return ""
	}

	return fmt.Sprintf(".%d", number)
}

// ParseName returns what a backup's name says, and whether it is one. It
// accepts only what FileName returns, or that with a number, and what
// LegacyFileName returns.
func ParseName(name string) (tokenID [32]byte, created time.Time, ok bool) {
	parsed, ok := parseName(name)

	return parsed.tokenID, parsed.created, ok
}

// parsedName is what a name says.
type parsedName struct {
	format  Format
	tokenID [32]byte
	created time.Time
}

// parseName is ParseName, and tells the format that the name stands for.
func parseName(name string) (parsedName, bool) {
	result := parsedName{format: Native}

	parts := namePattern.FindStringSubmatch(name)
	if parts == nil {
		result.format = Legacy
		parts = legacyNamePattern.FindStringSubmatch(name)
	}
	if parts == nil {
		return parsedName{}, false
	}
	nanoseconds, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return parsedName{}, false
	}
	_, err = hex.Decode(result.tokenID[:], []byte(parts[2]))
	if err != nil {
		return parsedName{}, false
	}
	result.created = time.Unix(0, nanoseconds)

	return result, true
}
