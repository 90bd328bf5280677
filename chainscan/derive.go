package chainscan

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
)

// maxScripts bounds the number of scripts of a family: lnd's keys are
// unhardened children.
const maxScripts = 1 << 31

// ErrFamily is wrapped by every error about a family's scripts.
var ErrFamily = errors.New("scripts of a key family cannot be derived")

// deriver derives the scripts of one family ahead of their use, on several
// goroutines.
type deriver struct {
	family Family

	// slots bounds the number of goroutines that derive at the same time;
	// it is shared by all families.
	slots chan struct{}

	// pending are the scripts that were asked for, by index.
	pending []*derivation
}

// derivation is one script, derived once.
type derivation struct {
	done chan struct{}
	key  [keySize]byte
	err  error
}

// newDeriverSlots returns the slots that the derivers of one scan share.
func newDeriverSlots() chan struct{} {
	return make(chan struct{}, runtime.GOMAXPROCS(0))
}

// newDeriver returns a deriver of a family.
func newDeriver(family Family, slots chan struct{}) *deriver {
	return &deriver{
		family: family,
		slots:  slots,
	}
}

// ensure begins to derive all scripts below an index. It does not wait. The
// group counts the goroutines.
func (d *deriver) ensure(ctx context.Context, group *sync.WaitGroup,
	count uint32) {

	first := len(d.pending)
	last := int(min(count, maxScripts))
	if first >= last {
		return
	}

	for range last - first {
		d.pending = append(d.pending, &derivation{
			done: make(chan struct{}),
		})
	}

	// Each goroutine takes every n-th script, so that the first ones are
	// ready first.
	workers := min(cap(d.slots), last-first)
	for worker := range workers {
		batch := d.pending[first:last]
		group.Go(func() {
			for i := worker; i < len(batch); i += workers {
				d.derive(ctx, uint32(first+i), batch[i])
			}
		})
	}
}

// derive derives one script.
func (d *deriver) derive(ctx context.Context, index uint32, to *derivation) {
	defer close(to.done)

	select {
	case d.slots <- struct{}{}:
	case <-ctx.Done():
		to.err = ctx.Err()

		return
	}
	defer func() { <-d.slots }()

	if to.err = ctx.Err(); to.err == nil {
		to.key, to.err = outputKey(d.family, index)
	}
}

// key waits for a script that ensure was called for. One that is there is
// returned also when the context has ended.
func (d *deriver) key(ctx context.Context, index uint32) ([keySize]byte,
	error) {

	derivation := d.pending[index]
	select {
	case <-derivation.done:
		return derivation.key, derivation.err

	default:
	}

	select {
	case <-derivation.done:
		return derivation.key, derivation.err

	case <-ctx.Done():
		return [keySize]byte{}, ctx.Err()
	}
}

// outputKey returns the taproot output key of a script of a family.
func outputKey(family Family, index uint32) ([keySize]byte, error) {
	script, err := family.Script(index)
	if err != nil {
		return [keySize]byte{}, fmt.Errorf("%w: family %d, index %d: "+
			"%w", ErrFamily, family.ID(), index, err)
	}

	if len(script) != taprootScriptSize || script[0] != opTaproot0 ||
		script[1] != opTaproot1 {

		return [keySize]byte{}, fmt.Errorf("%w: family %d, index %d: "+
			"%x is not a taproot output script", ErrFamily,
			family.ID(), index, script)
	}

	return [keySize]byte(script[2:]), nil
}

// outputScript returns the output script of a taproot output key.
func outputScript(key [keySize]byte) []byte {
	script := taprootScript(key)

	return script[:]
}

// taprootScript returns the output script of a key.
func taprootScript(key [keySize]byte) [taprootScriptSize]byte {
	script := [taprootScriptSize]byte{opTaproot0, opTaproot1}
	copy(script[taprootScriptSize-keySize:], key[:])

	return script
}

// taprootKey returns the key of an output script.
func taprootKey(script []byte) [keySize]byte {
	return [keySize]byte(script[taprootScriptSize-keySize:])
}
