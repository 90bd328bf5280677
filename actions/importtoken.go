package actions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/internal/failpoint"
	"github.com/looprecovery/looprecovery/states"
)

// maxPlaceAttempts is how often a token is placed while somebody else keeps
// putting files in its place.
const maxPlaceAttempts = 3

// importToken places the token file. If it must write, it first closes the
// gate, which then stays closed until RecreateAddress has written the address
// row: an embedded daemon that came up between the two would have a token
// without its address and could ask the server for another one. If the run ends
// with an error in between, the daemon decides when the gate opens.
func (r *run) importToken(ctx context.Context, facts *Facts) (states.Event,
	error) {

	content, err := r.open(ctx, facts.Located)
	if err != nil {
		return "", err
	}
	row, err := r.wantedRow(facts)
	if err != nil {
		return "", err
	}
	wanted := sha256.Sum256(content.Token)

	probe, err := r.checkToken(ctx, wanted, row)
	if err != nil {
		return "", err
	}
	if probe.Status == generation.TokenPaid {
		return states.Done, nil
	}

	err = r.Gate.Close(ctx)
	if err != nil {
		return "", err
	}

	return states.Done, r.placeToken(ctx, facts, content.Token, row)
}

// wantedRow returns the address row of the run's generation.
func (r *run) wantedRow(facts *Facts) (*script.Parameters, error) {
	if facts.Generation == nil {
		return nil, errNoGeneration
	}

	descriptor, err := facts.Generation.Descriptor()
	if err != nil {
		return nil, err
	}

	return descriptor.Parameters()
}

// checkToken probes the token file and the address rows. It returns normally
// only if the wanted token is in place, or none or one that does not parse;
// everything else is left as it is and blocks. A token is never paired with a
// row that is not its own.
func (r *run) checkToken(ctx context.Context, wanted [32]byte,
	row *script.Parameters) (generation.TokenProbe, error) {

	probe, err := r.Tokens.Probe()
	if err != nil {
		return probe, err
	}

	id := hex.EncodeToString(probe.Token.ID[:])
	switch {
	case probe.Status == generation.TokenPending:
		return probe, &BlockError{
			Reason: states.TokenPending,
			Detail: "l402.token.pending of token " + id,
		}

	case probe.Status == generation.TokenPaid && probe.SHA256 != wanted:
		return probe, &BlockError{
			Reason: states.TokenConflict,
			Detail: "l402.token of token " + id,
		}
	}

	_, err = r.checkRows(ctx, row)

	return probe, err
}

// placeToken writes the token file behind the closed gate. What is in place is
// probed again: the embedded daemon could have bought a token until the gate
// was closed.
func (r *run) placeToken(ctx context.Context, facts *Facts, token []byte,
	row *script.Parameters) error {

	wanted := sha256.Sum256(token)
	for range maxPlaceAttempts {
		probe, err := r.checkToken(ctx, wanted, row)
		if err != nil {
			return err
		}

		switch probe.Status {
		case generation.TokenPaid:
			return nil

		case generation.TokenUnreadable:
			facts.Effects.SetAside, err = r.Tokens.SetAside()
			if err != nil {
				return err
			}
		}

		err = r.Tokens.Place(token)
		switch {
		case err == nil:
			facts.Effects.TokenPlaced = true
			failpoint.Hit(failpoint.ImportTokenAfterLink)

		// Somebody else was faster: see what it is.
		case !errors.Is(err, fs.ErrExist):
			return err
		}
	}

	return fmt.Errorf("the token file changed %d times while it was "+
		"placed", maxPlaceAttempts)
}
