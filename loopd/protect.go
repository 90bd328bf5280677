package loopd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/staticaddr"
)

// pairingSlack is how much younger than the block at the row's initiation
// height a token may be for the two to belong together. The token is bought
// right before the address is asked for.
const pairingSlack = 2 * time.Hour

// errUnpaired means that token and address row do not belong together, so that
// no backup may pair them.
var errUnpaired = errors.New("the L402 token is younger than the static " +
	"address: they do not belong together")

// protector writes the backup of the generation that is in place.
type protector struct {
	network string
	backups *backupPort
	tokens  *generation.Files
	rows    actions.Rows
	node    actions.Node
	chain   actions.Chain

	// mu serialises writers. A writer waits for lnd.
	mu sync.Mutex

	// warning is what stands in the way of protection, or nil. It is read
	// without mu: a status never waits.
	warning atomic.Pointer[recoveryrpc.Warning]
}

// protect makes sure that the generation in place has a durable backup in the
// data directory and in at least minCopies further places. It does nothing if
// there is no complete generation.
func (p *protector) protect(ctx context.Context, minCopies uint32) error {
	p.mu.Lock()
	defer p.mu.Unlock()

	err := p.protectLocked(ctx, minCopies)
	var warning *recoveryrpc.Warning
	if err != nil {
		warning = &recoveryrpc.Warning{
			Code: "NOT_PROTECTED",
			Sentence: "The static address in use has no " +
				"complete backup.",
			Detail:      err.Error(),
			NextCommand: "loop backup list",
		}
	}
	p.warning.Store(warning)

	return err
}

// standing returns the warning of the last attempt, or nil.
func (p *protector) standing() *recoveryrpc.Warning {
	return p.warning.Load()
}

// protectLocked is protect with mu held.
func (p *protector) protectLocked(ctx context.Context,
	minCopies uint32) error {

	content, err := p.content(ctx)
	if err != nil || content == nil {
		return err
	}

	keys, err := p.backups.keys(ctx)
	if err != nil {
		return err
	}
	report, err := p.backups.store.Publish(ctx, content, keys)
	if err != nil {
		return err
	}

	var (
		further uint32
		failed  []error
	)
	for i, place := range report.Places {
		switch {
		case place.Err != nil:
			failed = append(failed, &backup.PlaceError{
				Place: place.Place, Err: place.Err,
			})

		case i > 0:
			further++
		}
		log.Debugf("Backup %s: %s", place.Path, place.Status)
	}
	if len(failed) > 0 && further < minCopies {
		return fmt.Errorf("%d of %d further copies: %w", further,
			minCopies, errors.Join(failed...))
	}
	for _, err := range failed {
		log.Warnf("A copy of the backup is missing: %v", err)
	}

	return nil
}

// content returns what a backup of the generation in place holds, or nil if
// there is no complete generation.
func (p *protector) content(ctx context.Context) (*backup.Content, error) {
	probe, err := p.tokens.Probe()
	if err != nil {
		return nil, err
	}
	rows, err := p.rows.All(ctx)
	if err != nil {
		return nil, err
	}
	if probe.Status != generation.TokenPaid || len(rows) == 0 {
		return nil, nil
	}
	if len(rows) > 1 {
		return nil, fmt.Errorf("%d static addresses in the database",
			len(rows))
	}
	row := rows[0]

	if err := p.checkPair(ctx, probe.Token, row); err != nil {
		return nil, err
	}
	key, err := p.node.DeriveKey(ctx, row.KeyLocator)
	if err != nil {
		return nil, err
	}
	if !key.IsEqual(row.ClientPubkey) {
		return nil, errors.New("this lnd does not derive the key of " +
			"the static address")
	}

	token, err := p.tokens.Read()
	if err != nil {
		return nil, err
	}

	return &backup.Content{
		Network:      p.network,
		TokenID:      probe.Token.ID,
		TokenCreated: probe.Token.Created,
		Token:        token,
		Address:      staticaddr.FromParameters(row),
	}, nil
}

// checkPair refuses to pair an address with a token that was made long after
// it: the address is bound to an older token.
func (p *protector) checkPair(ctx context.Context, token generation.Token,
	row *script.Parameters) error {

	made, err := p.chain.BlockTime(ctx, row.InitiationHeight)
	if err != nil {
		return err
	}
	if token.Created.After(made.Add(pairingSlack)) {
		return errUnpaired
	}

	return nil
}
