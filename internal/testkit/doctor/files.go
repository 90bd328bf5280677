package doctor

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"path"
	"slices"
	"strings"
)

const (
	// tokenName is the name of the token's file, asideName the directory
	// of files that did not parse.
	tokenName = "l402.token"
	asideName = "set-aside"

	// backupSuffix ends the names of backups.
	backupSuffix = ".lrb"

	// tempPrefix begins the names of files that are being written.
	tempPrefix = ".looprecovery-"
)

// Files checks I1 and I2: that nothing worth keeping is gone or changed, and
// that what has a final name is complete. It can be asked at any time.
func Files(e *Evidence) []Finding {
	var found findings

	for _, name := range slices.Sorted(maps.Keys(e.Before.Files)) {
		data := e.Before.Files[name]
		if !e.Token(data) && !e.Backup(data) && !aside(name) {
			continue
		}
		now, ok := e.After.Files[name]
		switch {
		case !ok:
			found.add(I1, "%s is gone", name)

		case !bytes.Equal(now, data):
			found.add(I1, "%s was changed", name)
		}
	}

	for _, name := range slices.Sorted(maps.Keys(e.After.Files)) {
		data := e.After.Files[name]
		before, ok := e.Before.Files[name]
		if ok && bytes.Equal(before, data) {
			continue
		}
		base := path.Base(name)
		switch {
		case base == tokenName && !e.Token(data):
			found.add(I2, "%s does not parse", name)

		case strings.HasSuffix(base, backupSuffix) &&
			!temporary(name) && !e.Backup(data):

			found.add(I2, "%s is no backup", name)
		}
	}

	return append(found, lost(e)...)
}

// lost checks that a file which did not parse was moved and not dropped.
func lost(e *Evidence) []Finding {
	var found findings
	for _, name := range slices.Sorted(maps.Keys(e.Before.Files)) {
		data := e.Before.Files[name]
		now, ok := e.After.Files[name]
		if ok && bytes.Equal(now, data) || e.Token(data) ||
			e.Backup(data) || temporary(name) {

			continue
		}
		kept := false
		for other, copied := range e.After.Files {
			kept = kept || aside(other) && bytes.Equal(copied, data)
		}
		if !kept {
			found.add(I1, "what was in %s is nowhere", name)
		}
	}

	return found
}

// aside reports whether a file lies where files are set aside.
func aside(name string) bool {
	return path.Base(path.Dir(name)) == asideName
}

// temporary reports whether a file is being written.
func temporary(name string) bool {
	return strings.HasPrefix(path.Base(name), tempPrefix)
}

// secrets checks I8. A token that is being written has a temporary name.
func secrets(e *Evidence) []Finding {
	var found findings
	for _, secret := range e.Secrets {
		holds := spotter(secret)
		if holds(e.Journal) {
			found.add(I8, "the journal holds a secret")
		}
		for _, name := range slices.Sorted(maps.Keys(e.After.Files)) {
			if path.Base(name) == tokenName || aside(name) ||
				temporary(name) &&
					strings.HasSuffix(name, tokenName) {

				continue
			}
			if holds(e.After.Files[name]) {
				found.add(I8, "%s holds a secret", name)
			}
		}
	}

	return found
}

// base64Group is the number of bytes that are encoded together.
const base64Group = 3

// spotter returns a function that tells whether data holds a secret: as it is,
// in hex, or in base64 of either alphabet, wherever in the encoded bytes it
// begins. The ends of the secret, which share a group with what is beside it,
// are not looked for.
func spotter(secret []byte) func([]byte) bool {
	spelled := [][]byte{secret}
	for shift := range min(base64Group, len(secret)) {
		whole := (len(secret) - shift) / base64Group * base64Group
		if whole == 0 {
			continue
		}
		inner := secret[shift : shift+whole]
		for _, alphabet := range []*base64.Encoding{
			base64.StdEncoding, base64.URLEncoding,
		} {
			spelled = append(spelled, []byte(
				alphabet.EncodeToString(inner),
			))
		}
	}
	inHex := []byte(hex.EncodeToString(secret))

	return func(data []byte) bool {
		return bytes.Contains(bytes.ToLower(data), inHex) ||
			slices.ContainsFunc(spelled, func(text []byte) bool {
				return bytes.Contains(data, text)
			})
	}
}
