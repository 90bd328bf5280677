package loopd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/states"
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

	// missing is what stands in the way of protection, or nil; lags are
	// the places without a copy; damaged is what the last check of all
	// copies found. They are read without mu: a status never waits.
	missing atomic.Pointer[states.Notice]
	lags    atomic.Pointer[[]placeLag]
	damaged atomic.Pointer[[]states.Notice]
}

// placeLag names a place without a copy of the backup of the generation in
// place.
type placeLag struct {
	place   string
	tokenID [32]byte

	// since is when it was first seen missing.
	since time.Time

	// err is why it could not be written.
	err error
}

// protect makes sure that the generation in place has a durable backup in the
// data directory and in at least minCopies further places. It does nothing if
// there is no complete generation.
func (p *protector) protect(ctx context.Context, minCopies uint32) error {
	p.mu.Lock()
	defer p.mu.Unlock()

	report, err := p.publish(ctx)
	if err == nil && report != nil {
		err = enoughCopies(report, minCopies)
	}
	var notice *states.Notice
	if err != nil {
		notice = &states.Notice{
			Warning: states.WarnNotProtected, Detail: err.Error(),
		}
	}
	p.missing.Store(notice)

	return err
}

// create is protect for a user who wants to see how it went in each place, or
// why it did not. The report is nil if there is nothing to protect.
func (p *protector) create(ctx context.Context) (*backup.Report, error) {
	p.mu.Lock()
	defer p.mu.Unlock()

	report, err := p.publish(ctx)
	if err == nil {
		p.missing.Store(nil)
	}

	return report, err
}

// standing returns the warnings of the last attempt and the last check.
func (p *protector) standing() []states.Notice {
	var result []states.Notice
	if notice := p.missing.Load(); notice != nil {
		result = append(result, *notice)
	}
	for _, lag := range p.behind() {
		result = append(result, states.Notice{
			Warning: states.WarnPlaceBehind,
			Detail: fmt.Sprintf("%s, since %s: %v", lag.place,
				lag.since.UTC().Format(time.RFC3339), lag.err),
		})
	}
	if damaged := p.damaged.Load(); damaged != nil {
		result = append(result, *damaged...)
	}

	return result
}

// incomplete reports whether a backup is missing anywhere.
func (p *protector) incomplete() bool {
	return p.missing.Load() != nil || len(p.behind()) > 0
}

// behind returns the places without a copy.
func (p *protector) behind() []placeLag {
	if lags := p.lags.Load(); lags != nil {
		return *lags
	}

	return nil
}

// setDamaged keeps what a check of all copies found.
func (p *protector) setDamaged(notices []states.Notice) {
	p.damaged.Store(&notices)
}

// publish writes the backup of the generation in place wherever it is missing.
// It returns nil and no error if there is no complete generation. The caller
// holds mu.
func (p *protector) publish(ctx context.Context) (*backup.Report, error) {
	content, err := p.content(ctx)
	if err != nil {
		return nil, err
	}
	if content == nil {
		p.lags.Store(nil)
		return nil, nil
	}
	keys, err := p.backups.keys(ctx)
	if err != nil {
		return nil, err
	}

	report, err := p.backups.store.Publish(ctx, content, keys)
	if len(report.Places) > 0 {
		p.noteLags(content.TokenID, report)
	}

	return &report, err
}

// noteLags remembers which places have no copy, and since when.
func (p *protector) noteLags(tokenID [32]byte, report backup.Report) {
	before := p.behind()

	var lags []placeLag
	for _, place := range report.Places {
		log.Debugf("Backup %s: %s", place.Path, place.Status)
		if place.Err == nil {
			continue
		}

		lag := placeLag{
			place: place.Place, tokenID: tokenID,
			since: time.Now(), err: place.Err,
		}
		known := slices.IndexFunc(before, func(old placeLag) bool {
			return old.place == lag.place && old.tokenID == tokenID
		})
		if known >= 0 {
			lag.since = before[known].since
		} else {
			log.Warnf("A copy of the backup is missing in %s: %v",
				place.Place, place.Err)
		}
		lags = append(lags, lag)
	}
	p.lags.Store(&lags)
}

// enoughCopies returns an error if fewer further places than wanted hold the
// backup.
func enoughCopies(report *backup.Report, wanted uint32) error {
	var (
		further uint32
		failed  []error
	)
	for _, place := range report.Places[1:] {
		if place.Err != nil {
			failed = append(failed, &backup.PlaceError{
				Place: place.Place, Err: place.Err,
			})
			continue
		}
		further++
	}
	if further >= wanted {
		return nil
	}

	return fmt.Errorf("%d of %d further copies: %w", further, wanted,
		errors.Join(failed...))
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
