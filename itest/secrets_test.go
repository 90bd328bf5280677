package itest

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/looprecovery/looprecovery/internal/testkit/regtest"
	"github.com/stretchr/testify/require"
	"gopkg.in/macaroon.v2"
)

const (
	// tokenName is the only file that may hold a token in the clear,
	// besides those in setAsideName.
	tokenName = "l402.token"

	// setAsideName is the directory of files that were moved out of the
	// way.
	setAsideName = "set-aside"

	// hashSize is the size of a payment hash and of a preimage.
	hashSize = 32
)

// secrets is what a story's programs know and must not tell.
type secrets struct {
	// needles are the secrets by name, in every encoding that is looked
	// for.
	needles map[string][]byte

	// outputs is what the command lines of the story printed.
	outputs []string
}

// add remembers a secret in the encodings in which it could turn up.
func (s *secrets) add(name string, secret []byte) {
	if s.needles == nil {
		s.needles = make(map[string][]byte)
	}
	lower := hex.EncodeToString(secret)
	for encoding, needle := range map[string]string{
		"raw":       string(secret),
		"hex":       lower,
		"HEX":       strings.ToUpper(lower),
		"base64":    base64.RawStdEncoding.EncodeToString(secret),
		"base64url": base64.RawURLEncoding.EncodeToString(secret),
	} {
		key := fmt.Sprintf("%s (%s) of %x", name, encoding, secret[:4])
		s.needles[key] = []byte(needle)
	}
}

// addToken remembers the secrets of a paid token's file: the file as a whole,
// the macaroon, the macaroon's signature, and the preimage. The token's id is
// none.
func (s *secrets) addToken(raw []byte) error {
	if len(raw) < 4 {
		return errors.New("no token")
	}
	size := int(binary.BigEndian.Uint32(raw))
	if size > len(raw)-4-2*hashSize {
		return errors.New("a token of the wrong size")
	}
	macBytes := raw[4 : 4+size]
	preimage := raw[4+size+hashSize:][:hashSize]

	var mac macaroon.Macaroon
	if err := mac.UnmarshalBinary(macBytes); err != nil {
		return err
	}
	s.add("token", raw)
	s.add("macaroon", macBytes)
	s.add("macaroon signature", mac.Signature())
	if !bytes.Equal(preimage, make([]byte, hashSize)) {
		s.add("preimage", preimage)
	}

	return nil
}

// find returns which secrets the data holds.
func (s *secrets) find(data []byte) []string {
	var found []string
	for name, needle := range s.needles {
		if bytes.Contains(data, needle) {
			found = append(found, name)
		}
	}
	slices.Sort(found)

	return found
}

// search looks for the secrets in a file or in every file below a directory,
// except where a token belongs, and returns what it found where. A file that
// goes away meanwhile was a temporary one of a program that is still running.
func (s *secrets) search(root string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry,
		err error) error {

		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil

		case err != nil:
			return err

		case entry.IsDir() && entry.Name() == setAsideName:
			return fs.SkipDir

		case entry.Name() == tokenName || !entry.Type().IsRegular():
			return nil
		}

		data, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, secret := range s.find(data) {
			found = append(found, path+": "+secret)
		}

		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}

	return found, err
}

// noteSecrets remembers the secrets in a daemon's directory.
func (s *story) noteSecrets(loopd *regtest.Loopd) {
	s.Helper()

	raw, err := os.ReadFile(loopd.TokenPath())
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	require.NoError(s, err)
	require.NoError(s, s.secrets.addToken(raw))
}

// checkSecrets tells that a story gave a secret away: the directories and logs
// of its daemons, what its command lines printed and the temporary files of all
// programs are searched. The nodes' own directories are not: lnd has to know
// the preimage of what it paid.
func (s *story) checkSecrets() {
	s.Helper()

	places := []string{tempRoot}
	for _, server := range s.databases {
		places = append(places, server.Dir())
	}
	for _, loopd := range s.loopds {
		s.noteSecrets(loopd)
		places = append(places, loopd.Dir(), loopd.LogPath())
		s.checkModes(loopd)
	}
	for _, place := range places {
		found, err := s.secrets.search(place)
		require.NoError(s, err)
		require.Empty(s, found, "a secret was given away")
	}
	for _, output := range s.secrets.outputs {
		require.Empty(s, s.secrets.find([]byte(output)),
			"a secret was printed")
	}
}

// checkModes checks that nobody else may read what holds a token.
func (s *story) checkModes(loopd *regtest.Loopd) {
	s.Helper()

	paths, err := filepath.Glob(
		filepath.Join(loopd.DataDir(), setAsideName, "*"),
	)
	require.NoError(s, err)
	for _, path := range append(paths, loopd.TokenPath()) {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		require.NoError(s, err)
		require.Zero(s, info.Mode().Perm()&0o077, "%s is %v", path,
			info.Mode())
	}
}

// TestStoryMSecrets checks that the search at the end of every story would find
// what it looks for. Without it a token in a debug log would go unnoticed, and
// a log is the first thing that a user in trouble sends around.
func TestStoryMSecrets(t *testing.T) {
	s := newStory(t)
	loopd := s.newLoopd(regtest.LoopdConfig{})
	s.start(loopd)
	s.newAddress(loopd)
	s.stop(loopd)
	raw := s.token(loopd)
	require.NoError(t, s.secrets.addToken(raw))
	require.Len(t, s.secrets.needles, 4*5)

	// Where a token belongs it is no finding.
	aside := filepath.Join(loopd.DataDir(), setAsideName)
	require.NoError(t, os.MkdirAll(aside, 0o700))
	require.NoError(t, os.WriteFile(
		filepath.Join(aside, "l402.token.1"), raw, 0o600,
	))
	found, err := s.secrets.search(loopd.Dir())
	require.NoError(t, err)
	require.Empty(t, found)

	// In the journal or in a log it is, in any encoding, wherever it
	// starts.
	for name, needle := range s.secrets.needles {
		for _, place := range []string{
			"recovery.db-wal", "logs/loopd.log", "l402.token.tmp",
		} {
			path := filepath.Join(s.scratch, place)
			require.NoError(t, os.MkdirAll(
				filepath.Dir(path), 0o700,
			))
			text := "2026-11-22 some line: " + string(needle) + "\n"
			require.NoError(t, os.WriteFile(
				path, []byte(text), 0o600,
			))
			found, err := s.secrets.search(s.scratch)
			require.NoError(t, err)
			require.Contains(t, found, path+": "+name)
			require.NoError(t, os.Remove(path))
		}
	}
}
