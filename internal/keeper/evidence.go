package keeper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/looprecovery/looprecovery/backup"
	"github.com/looprecovery/looprecovery/generation"
	"github.com/looprecovery/looprecovery/states"
	"github.com/looprecovery/looprecovery/staticaddr"
)

const (
	// blockTimeSlack is how far the time in a block's header may be off:
	// nodes accept two hours ahead (Bitcoin Core, MAX_FUTURE_BLOCK_TIME),
	// and the median rule lets it lag by about one.
	blockTimeSlack = 2 * time.Hour

	// hostClockSlack is how far the clock of the machine that bought the
	// token may have been off.
	hostClockSlack = 2 * time.Hour

	// seenLimit is how long a look at token and row may take after an
	// address was made.
	seenLimit = 10 * time.Second
)

// Evidence is what is known about whether the token and the address in place
// belong together.
type Evidence struct {
	PairID

	// TokenCreated is when the token was bought, by the clock of the
	// machine that bought it.
	TokenCreated time.Time

	// Height is the height at which the address was made; BlockTime is the
	// time in the header of that block, and NextBlockTime that of the next
	// one, zero if there is none yet.
	Height        int32
	BlockTime     time.Time
	NextBlockTime time.Time

	// Proof is what proves the pair.
	Proof Proof

	// Refuted says that nothing proves it and that the token was bought
	// after the next block had been found.
	Refuted bool
}

// String tells the times to a person.
func (e *Evidence) String() string {
	return fmt.Sprintf("token %x bought at %s, static address made at "+
		"height %d (%s), next block at %s", e.TokenID,
		clock(e.TokenCreated), e.Height, clock(e.BlockTime),
		clock(e.NextBlockTime))
}

// clock renders a time.
func clock(when time.Time) string {
	if when.IsZero() {
		return "a time that is not known"
	}

	return when.UTC().Format(time.RFC3339)
}

// PairEvidence returns what is known about the pair in place, or nil if there
// is no complete generation.
func (k *Keeper) PairEvidence(ctx context.Context) (*Evidence, error) {
	here, err := k.inPlace(ctx)
	if err != nil || here == nil {
		return nil, err
	}
	evidence := here.evidence()
	if err := k.weigh(ctx, evidence); err != nil {
		return nil, err
	}
	if evidence.Refuted {
		err = k.searchBackup(ctx, here, evidence)
	}

	return evidence, err
}

// AcceptPair records that a person, who was shown the evidence, says that the
// pair in place belongs together. It does nothing where that is not in doubt.
func (k *Keeper) AcceptPair(ctx context.Context) error {
	evidence, err := k.PairEvidence(ctx)
	if err == nil && evidence != nil && evidence.Refuted {
		log.Infof("A person accepted a pair: %v", evidence)
		k.prove(ctx, evidence.PairID, Accepted)
	}

	return err
}

// RestoredFrom records that the generation in a backup was restored from it:
// that file pairs token and address.
func (k *Keeper) RestoredFrom(ctx context.Context, path string) error {
	entry, err := k.Judge(ctx, path)
	if err != nil {
		return err
	}
	if entry.Content != nil {
		k.proveBy(ctx, entry.Content)
	}

	return nil
}

// proveBy records that a valid backup holds a pair.
func (k *Keeper) proveBy(ctx context.Context, content *backup.Content) Proof {
	proof := BackedUp
	if content.PairAccepted {
		proof = Accepted
	}
	k.prove(ctx, pairID(content), proof)

	return proof
}

// pairID returns the pair that a backup holds.
func pairID(content *backup.Content) PairID {
	return PairID{
		TokenID: content.TokenID,
		ClientKey: [33]byte(
			content.Address.ClientKey.SerializeCompressed(),
		),
	}
}

// pair is what is in place: a paid token and one address.
type pair struct {
	token generation.Token
	row   *script.Parameters
}

// inPlace returns the pair in place, or nil if one of the two is missing.
func (k *Keeper) inPlace(ctx context.Context) (*pair, error) {
	probe, err := k.probe(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := k.cfg.Rows.All(ctx)
	if err != nil {
		return nil, err
	}
	if probe.Status != generation.TokenPaid || len(rows) == 0 {
		return nil, nil
	}
	if len(rows) > 1 {
		return nil, &states.PermanentError{
			Reason: states.AddressConflict,
			Detail: fmt.Sprintf("%d static addresses in the "+
				"database", len(rows)),
		}
	}

	return &pair{token: probe.Token, row: rows[0]}, nil
}

// probe says which token is in place.
func (k *Keeper) probe(ctx context.Context) (generation.TokenProbe, error) {
	return perform(ctx, k.home(), func(context.Context) (
		generation.TokenProbe, error) {

		return k.cfg.Tokens.Probe()
	})
}

// evidence returns what the pair tells by itself.
func (p *pair) evidence() *Evidence {
	return &Evidence{
		PairID: PairID{
			TokenID: p.token.ID,
			ClientKey: [33]byte(
				p.row.ClientPubkey.SerializeCompressed(),
			),
		},
		TokenCreated: p.token.Created,
		Height:       p.row.InitiationHeight,
	}
}

// weigh adds what proves the pair and, if nothing does, what the chain says:
// a token that was bought well after the block that followed the address is not
// the one the address is bound to. Without such a block nothing is refuted.
func (k *Keeper) weigh(ctx context.Context, evidence *Evidence) error {
	evidence.Proof = k.proof(ctx, evidence.PairID)
	if evidence.Proof != Unproven {
		return nil
	}

	tip, err := k.cfg.Chain.BestBlock(ctx)
	if err != nil {
		return err
	}
	if tip.Height <= evidence.Height {
		return nil
	}
	evidence.BlockTime, err = k.cfg.Chain.BlockTime(ctx, evidence.Height)
	if err != nil {
		return err
	}
	evidence.NextBlockTime, err = k.cfg.Chain.BlockTime(
		ctx, evidence.Height+1,
	)
	if err != nil {
		return err
	}
	latest := evidence.NextBlockTime.Add(blockTimeSlack + hostClockSlack)
	evidence.Refuted = evidence.TokenCreated.After(latest)

	return nil
}

// searchBackup looks for a valid backup that holds a pair which the clocks
// refute, in every place that answers.
func (k *Keeper) searchBackup(ctx context.Context, here *pair,
	evidence *Evidence) error {

	content, keys, err := k.contentOf(ctx, here)
	if err != nil {
		return err
	}
	// Any backup will do, be its pair proven or accepted.
	content.PairAccepted = true

	found := each(k.places, func(p *place) *backup.Content {
		held, err := perform(ctx, p, func(ctx context.Context) (
			*backup.Content, error) {

			_, held, err := p.store.Find(ctx, content, keys)

			return held, err
		})
		if err != nil {
			log.Debugf("Looking for a pair in %s: %v", p.dir, err)
		}

		return held
	})
	for _, held := range found {
		if held != nil {
			k.proveBy(ctx, held)
		}
	}
	evidence.Proof = k.proof(ctx, evidence.PairID)
	evidence.Refuted = evidence.Proof == Unproven

	return nil
}

// contentOf returns what a backup of a pair holds, and the keys of this lnd,
// which must be the one that the address was made with.
func (k *Keeper) contentOf(ctx context.Context, here *pair) (*backup.Content,
	backup.Keys, error) {

	key, err := k.cfg.Node.DeriveKey(ctx, here.row.KeyLocator)
	if err != nil {
		return nil, backup.Keys{}, err
	}
	if !key.IsEqual(here.row.ClientPubkey) {
		return nil, backup.Keys{}, &states.PermanentError{
			Reason: states.KeyNotDerivable,
			Detail: "the key of the static address in use",
		}
	}
	keys, err := k.keys(ctx)
	if err != nil {
		return nil, keys, err
	}
	token, err := perform(ctx, k.home(), func(context.Context) ([]byte,
		error) {

		return k.cfg.Tokens.Read()
	})
	if err != nil {
		return nil, keys, err
	}

	return &backup.Content{
		Network:      k.cfg.Network,
		TokenID:      here.token.ID,
		TokenCreated: here.token.Created,
		Token:        token,
		Address:      staticaddr.FromParameters(here.row),
	}, keys, nil
}

// content returns what a backup of the generation in place is to hold, nil if
// there is no complete one. A pair that only the clocks speak against is a
// *states.PermanentError with states.PairUnproven.
func (k *Keeper) content(ctx context.Context) (*backup.Content, backup.Keys,
	error) {

	here, err := k.inPlace(ctx)
	if err != nil || here == nil {
		return nil, backup.Keys{}, err
	}
	evidence := here.evidence()
	if err := k.weigh(ctx, evidence); err != nil {
		return nil, backup.Keys{}, err
	}
	if evidence.Refuted {
		err := k.searchBackup(ctx, here, evidence)
		if err != nil {
			return nil, backup.Keys{}, err
		}
	}
	if evidence.Refuted {
		return nil, backup.Keys{}, &states.PermanentError{
			Reason: states.PairUnproven,
			Detail: evidence.String(),
		}
	}

	content, keys, err := k.contentOf(ctx, here)
	if err == nil {
		content.PairAccepted = evidence.Proof == Accepted
	}

	return content, keys, err
}

// PairWatch is what was in place before a static address was asked for.
type PairWatch struct {
	keeper *Keeper

	// looked says that the look succeeded.
	looked bool

	token generation.TokenProbe
	rows  int
}

// WatchPair looks at what is in place before a call that may make a static
// address. A look that fails proves nothing and stands in nobody's way.
func (k *Keeper) WatchPair(ctx context.Context) *PairWatch {
	watch := &PairWatch{keeper: k}

	token, err := k.probe(ctx)
	rows, rowsErr := k.cfg.Rows.All(ctx)
	if err := errors.Join(err, rowsErr); err != nil {
		log.Warnf("An address that is made now will lack a proof: %v",
			err)

		return watch
	}
	watch.looked, watch.token, watch.rows = true, token, len(rows)

	return watch
}

// Seen records the pair if the call made the address: there was none before,
// there is one now, and no token but the one in place can have paid for it. It
// is called whatever the call returned: upstream inserts the row before the
// last thing that can fail.
func (w *PairWatch) Seen(ctx context.Context) {
	if !w.looked || w.rows != 0 {
		return
	}
	ctx, cancel := context.WithTimeout(
		context.WithoutCancel(ctx), seenLimit,
	)
	defer cancel()

	here, err := w.keeper.inPlace(ctx)
	switch {
	case err != nil:
		log.Warnf("A new address lacks a proof: %v", err)

	case here != nil && w.bought(here.token):
		w.keeper.prove(ctx, here.evidence().PairID, Seen)
	}
}

// bought reports whether a token was there before the call, or came to be in
// it.
func (w *PairWatch) bought(token generation.Token) bool {
	switch w.token.Status {
	case generation.TokenAbsent, generation.TokenPending:
		return true

	case generation.TokenPaid:
		return w.token.Token.ID == token.ID

	default:
		return false
	}
}
