package twin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/generation"
)

// setAsideDir is where the token files that did not parse go.
const setAsideDir = "set-aside/"

// errParses is returned if a token file is to be set aside that parses.
var errParses = errors.New("the token file parses")

// Tokens is the token file on this machine, l402.token and l402.token.pending
// in one.
type Tokens struct {
	calls *calls
	gate  *Gate

	mu     sync.Mutex
	file   []byte
	exists bool
	aside  map[string][]byte
}

var _ actions.Tokens = (*Tokens)(nil)

// Probe says what is in place.
func (t *Tokens) Probe() (generation.TokenProbe, error) {
	var probe generation.TokenProbe
	err := t.calls.do(context.Background(), "tokens.Probe", func() error {
		file, exists := t.Get()
		probe = probeToken(file, exists)

		return nil
	})

	return probe, err
}

// Place publishes a token file if there is none. Doing so while the embedded
// daemon runs is a violation.
func (t *Tokens) Place(token []byte) error {
	return t.calls.do(context.Background(), "tokens.Place", func() error {
		if !t.gate.Closed() {
			t.calls.violate("token written with the gate open")
		}

		t.mu.Lock()
		defer t.mu.Unlock()

		if t.exists {
			return fmt.Errorf("l402.token: %w", fs.ErrExist)
		}
		t.file, t.exists = bytes.Clone(token), true

		return nil
	})
}

// SetAside moves a token file that does not parse away.
func (t *Tokens) SetAside() (string, error) {
	var place string
	call := "tokens.SetAside"
	err := t.calls.do(context.Background(), call, func() error {
		t.mu.Lock()
		defer t.mu.Unlock()

		probe := probeToken(t.file, t.exists)
		switch probe.Status {
		case generation.TokenAbsent:
			return fs.ErrNotExist

		case generation.TokenPaid, generation.TokenPending:
			return errParses
		}

		place = fmt.Sprintf("%stoken-%d", setAsideDir, len(t.aside))
		t.aside[place] = t.file
		t.file, t.exists = nil, false

		return nil
	})

	return place, err
}

// Get returns the token file and whether there is one, without a call of a
// port.
func (t *Tokens) Get() ([]byte, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()

	return bytes.Clone(t.file), t.exists
}

// Put writes the token file as the embedded daemon or a life before the test
// did.
func (t *Tokens) Put(file []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()

	t.file, t.exists = bytes.Clone(file), true
}

// Lose removes the token file.
func (t *Tokens) Lose() {
	t.mu.Lock()
	defer t.mu.Unlock()

	t.file, t.exists = nil, false
}

// Aside returns the file at a place to which SetAside moved it.
func (t *Tokens) Aside(place string) ([]byte, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()

	file, ok := t.aside[place]

	return bytes.Clone(file), ok
}

// probeToken says what a token file is.
func probeToken(file []byte, exists bool) generation.TokenProbe {
	if !exists {
		return generation.TokenProbe{}
	}

	probe := generation.TokenProbe{
		Status: generation.TokenUnreadable,
		SHA256: sha256.Sum256(file),
	}
	token, err := generation.ParseToken(file)
	switch {
	case err != nil:
		return probe

	case token.Paid:
		probe.Status = generation.TokenPaid

	default:
		probe.Status = generation.TokenPending
	}
	probe.Token = *token

	return probe
}
