package twin

import (
	"context"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/generation"
)

// tokenPath is where upstream keeps the token.
const tokenPath = DataDir + "/l402.token"

// Tokens is the real token store on the twin's disk.
type Tokens struct {
	calls *calls
	gate  *Gate
	disk  *Disk
	files *generation.Files
}

var _ actions.Tokens = (*Tokens)(nil)

// Probe says what is in place.
func (t *Tokens) Probe() (generation.TokenProbe, error) {
	var probe generation.TokenProbe
	err := t.calls.do(context.Background(), "tokens.Probe", func() error {
		var err error
		probe, err = t.files.Probe()

		return err
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

		return t.files.Place(token)
	})
}

// SetAside moves a token file that does not parse away.
func (t *Tokens) SetAside() (string, error) {
	var place string
	call := "tokens.SetAside"
	err := t.calls.do(context.Background(), call, func() error {
		var err error
		place, err = t.files.SetAside()

		return err
	})

	return place, err
}

// Get returns the token file and whether there is one, without a call of a
// port.
func (t *Tokens) Get() ([]byte, bool) {
	return t.disk.Read(tokenPath)
}

// Survives reports whether the token file will be there with the given bytes
// whatever a power cut does now.
func (t *Tokens) Survives(token []byte) bool {
	return t.disk.Survives(tokenPath, token)
}

// Put writes the token file as the embedded daemon or a life before the test
// did.
func (t *Tokens) Put(file []byte) {
	t.disk.Write(tokenPath, file)
}

// Lose removes the token file.
func (t *Tokens) Lose() {
	t.disk.Lose(tokenPath)
}
