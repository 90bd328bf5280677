package actions

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/states"
)

// inPlace is what a candidate must fit to: half of a generation may be on this
// machine already.
type inPlace struct {
	// token is the id of the paid token, or empty.
	token string

	// rows are the output scripts of the address rows.
	rows [][]byte
}

// inPlace probes token file and address rows.
func (r *run) inPlace(ctx context.Context) (inPlace, error) {
	var here inPlace

	probe, err := r.Tokens.Probe()
	if err != nil {
		return here, err
	}
	if probe.Status == generation.TokenPaid {
		here.token = hex.EncodeToString(probe.Token.ID[:])
	}

	rows, err := r.Rows.All(ctx)
	if err != nil {
		return here, err
	}
	for _, row := range rows {
		here.rows = append(here.rows, row.PkScript)
	}

	return here, nil
}

// fits returns an empty reason if a backup belongs to what is in place, and
// otherwise what stands in its way. A token decides alone; without one an
// address row does.
func (p *inPlace) fits(content *backup.Content) (states.Reason, error) {
	if p.token != "" {
		if hex.EncodeToString(content.TokenID[:]) == p.token {
			return "", nil
		}

		return states.TokenConflict, nil
	}

	if len(p.rows) == 0 {
		return "", nil
	}

	pkScript, err := content.Address.PkScript(content.Address.ClientKey)
	if err != nil {
		return "", err
	}
	for _, row := range p.rows {
		if bytes.Equal(row, pkScript) {
			return "", nil
		}
	}

	return states.AddressConflict, nil
}

// describe says why none of the valid backups is a candidate.
func (p *inPlace) describe(valid int, request Request) string {
	switch {
	case valid == 0:
		return ""

	case request.TokenID != "":
		return fmt.Sprintf("none of %d valid files is of token %s",
			valid, request.TokenID)

	case p.token != "":
		return fmt.Sprintf("none of %d valid files is of the token "+
			"in place, %s", valid, p.token)

	default:
		return fmt.Sprintf("none of %d valid files is of the static "+
			"address in place", valid)
	}
}

// usable returns the valid files of a network. All others, those of other seeds
// and networks among them, are no candidates.
func usable(entries []backup.Entry, network string) []backup.Entry {
	var valid []backup.Entry
	for _, entry := range entries {
		if entry.Verdict == backup.OK &&
			entry.Content.Network == network {

			valid = append(valid, entry)
		}
	}

	return valid
}

// choose returns the newest of the valid files that the request allows and that
// fits to what is in place, or nil; of several equal ones the first, in the
// order of the places. A pair that a person accepted yields to a proven one.
func choose(valid []backup.Entry, request Request, here inPlace) (*backup.Entry,
	error) {

	candidates, err := fitting(valid, request, here)
	if err != nil {
		return nil, err
	}

	var chosen *backup.Entry
	for _, candidate := range candidates {
		if disproven(candidate, candidates) {
			continue
		}
		if chosen == nil ||
			preferred(candidate.Content, chosen.Content) > 0 {

			chosen = candidate
		}
	}

	return chosen, nil
}

// fitting returns the valid files that the request allows and that fit to what
// is in place. A token that the user asked for by its id is not passed over in
// silence: what stands in its way blocks the run.
func fitting(valid []backup.Entry, request Request, here inPlace) (
	[]*backup.Entry, error) {

	var candidates []*backup.Entry
	for i := range valid {
		content := valid[i].Content
		id := hex.EncodeToString(content.TokenID[:])
		if request.TokenID != "" && request.TokenID != id {
			continue
		}

		obstacle, err := here.fits(content)
		switch {
		case err != nil:
			return nil, err

		case obstacle != "" && request.TokenID != "":
			return nil, &BlockError{
				Reason: obstacle,
				Detail: "restoring token " + id,
			}

		case obstacle == "":
			candidates = append(candidates, &valid[i])
		}
	}

	return candidates, nil
}

// disproven reports whether a person accepted the pair in a file, and another
// candidate proves that its address is bound to another token.
func disproven(accepted *backup.Entry, candidates []*backup.Entry) bool {
	if !accepted.Content.PairAccepted {
		return false
	}

	key := accepted.Content.Address.ClientKey
	for _, other := range candidates {
		if !other.Content.PairAccepted &&
			other.Content.TokenID != accepted.Content.TokenID &&
			other.Content.Address.ClientKey.IsEqual(key) {

			return true
		}
	}

	return false
}

// preferred compares two candidates: the newer token, the higher id among
// tokens of one time, and of its copies the one whose pair was proven, the file
// that tells the index of its key, the one with the lower first height: a scan
// must not begin too late.
func preferred(a, b *backup.Content) int {
	return cmp.Or(
		a.TokenCreated.Compare(b.TokenCreated),
		bytes.Compare(a.TokenID[:], b.TokenID[:]),
		compareBool(!a.PairAccepted, !b.PairAccepted),
		compareBool(!a.IndexUnknown, !b.IndexUnknown),
		cmp.Compare(b.Address.FirstHeight, a.Address.FirstHeight),
	)
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0

	case a:
		return 1

	default:
		return -1
	}
}

// checkConflict blocks if another valid file contradicts the chosen one.
func checkConflict(valid []backup.Entry, chosen backup.Entry) error {
	for _, entry := range valid {
		if !chosen.Content.ContradictedBy(entry.Content) {
			continue
		}

		return &BlockError{
			Reason: states.BackupConflict,
			Detail: chosen.Path + " and " + entry.Path,
		}
	}

	return nil
}

// otherTokens returns the ids of the tokens of the valid files but the chosen
// one's, sorted, each once.
func otherTokens(valid []backup.Entry, chosen [32]byte) []string {
	var others []string
	for _, entry := range valid {
		if id := entry.Content.TokenID; id != chosen {
			others = append(others, hex.EncodeToString(id[:]))
		}
	}
	slices.Sort(others)

	return slices.Compact(others)
}
