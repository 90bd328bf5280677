package loopd

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/looprecovery/looprecovery/recoveryrpc"
	"github.com/looprecovery/looprecovery/states"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// newAddressLimit bounds the making of an address: buying a token, asking the
// swap server, importing the script. It is not bounded by the caller's
// patience.
const newAddressLimit = 5 * time.Minute

// addressConfig is what handing out a static address needs.
type addressConfig struct {
	// hrp is the human-readable part of the network's addresses.
	hrp string

	// guard says why no address may be made or handed out now, as a status
	// with a reason, or returns nil. It does not wait.
	guard func() error

	// addresses returns the static addresses in the database.
	addresses func(ctx context.Context) ([]string, error)

	// watch makes sure that lnd's wallet watches the address in place.
	watch func(ctx context.Context) error

	// protect makes sure that the backup of the address in place is
	// durable wherever the user wants it before anybody pays to it, or
	// returns a status with the reason.
	protect func(ctx context.Context) error

	// birth is called before a call that may make the address; what it
	// returns is called after it, whatever the call returned.
	birth func(ctx context.Context) (seen func(context.Context))
}

// addressDesk hands out the static address. Whoever is shown one may pay to it
// at once, so that one leaves the process only if lnd watches it and its backup
// is durable. That is decided by what an answer contains, not by the method
// that gives it: a method of a later upstream is guarded like those of today.
type addressDesk struct {
	cfg addressConfig

	// turn serialises the making of an address: two at once could make two
	// rows, with which every listing fails.
	turn chan struct{}

	mu sync.Mutex

	// watched are the addresses that lnd's wallet was seen to watch in the
	// given life of the embedded daemon: between two lives it may have been
	// rebuilt.
	watched map[string]bool
	life    context.Context
}

// newAddressDesk returns a desk.
func newAddressDesk(cfg addressConfig) *addressDesk {
	return &addressDesk{cfg: cfg, turn: make(chan struct{}, 1)}
}

// make makes the static address, or takes the one in place, and returns the
// call's answer once the address may be shown.
//
// The call is given a context that outlives the request: one that ends between
// the row and the import would leave an address that nobody watches.
func (a *addressDesk) make(ctx, life context.Context,
	call func(context.Context) (any, error)) (any, error) {

	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()

	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if err := a.cfg.guard(); err != nil {
		return nil, err
	}

	callCtx, cancel := context.WithTimeout(
		outlive(ctx, life), newAddressLimit,
	)
	defer cancel()
	seen := a.cfg.birth(callCtx)
	resp, err := call(callCtx)
	seen(callCtx)
	if err != nil {
		return resp, err
	}

	message, ok := resp.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a message", resp)
	}
	for _, address := range a.inAnswer(message) {
		if err := a.mayShow(callCtx, life, address); err != nil {
			log.Errorf("The static address is not handed out: %v",
				err)

			return nil, err
		}
	}

	return resp, nil
}

// withhold replaces the static address in an answer by the reason why it may
// not be shown, if it may not. The rest of the answer stands: amounts and
// deposits are nobody's way to pay in.
func (a *addressDesk) withhold(ctx, life context.Context, answer any) error {
	message, ok := answer.(proto.Message)
	if !ok {
		return nil
	}
	candidates := a.inAnswer(message)
	if len(candidates) == 0 {
		return nil
	}
	ours, err := a.cfg.addresses(ctx)
	if err != nil {
		return recoveryrpc.StatusError(
			states.DatabaseDown, err.Error(),
		)
	}

	for _, address := range ours {
		if !containsFold(candidates, address) {
			continue
		}
		err := a.mayShow(ctx, life, address)
		if err == nil {
			continue
		}
		reason, _ := recoveryrpc.ReasonOf(err)
		log.Warnf("The static address is withheld: %v", err)
		replaceAddress(message.ProtoReflect(), address, fmt.Sprintf(
			"withheld: %s, see: loop recover status", reason,
		))
	}

	return nil
}

// mayShow returns nil if the address may be shown to whoever would pay to it,
// else a status with the reason.
func (a *addressDesk) mayShow(ctx, life context.Context,
	address string) error {

	if err := a.cfg.guard(); err != nil {
		return err
	}
	if err := a.watchOnce(ctx, life, address); err != nil {
		return recoveryrpc.StatusError(
			states.AddressUnwatched, err.Error(),
		)
	}

	return a.cfg.protect(ctx)
}

// watchOnce makes sure that lnd watches the address, once in each life of the
// embedded daemon: upstream imports the script when it makes the address and
// never again, so that a failure at that moment stays.
func (a *addressDesk) watchOnce(ctx, life context.Context,
	address string) error {

	a.mu.Lock()
	known := a.life == life && a.watched[address]
	a.mu.Unlock()
	if known {
		return nil
	}

	if err := a.cfg.watch(ctx); err != nil {
		return err
	}

	a.mu.Lock()
	defer a.mu.Unlock()
	if a.life != life {
		a.life, a.watched = life, make(map[string]bool)
	}
	a.watched[address] = true

	return nil
}

// inAnswer returns the strings in an answer that contain what looks like a
// taproot address of this network. It is cheap, and asks nobody.
func (a *addressDesk) inAnswer(message proto.Message) []string {
	var found []string
	prefix := a.cfg.hrp + "1p"
	eachString(message.ProtoReflect(), func(text string) string {
		if strings.Contains(strings.ToLower(text), prefix) {
			found = append(found, text)
		}

		return text
	})

	return found
}

// containsFold reports whether one of the texts contains the address. The
// letters of an address may be of either case.
func containsFold(texts []string, address string) bool {
	for _, text := range texts {
		if strings.Contains(strings.ToLower(text), address) {
			return true
		}
	}

	return false
}

// replaceAddress replaces each string of a message that contains the address.
func replaceAddress(message protoreflect.Message, address, with string) {
	eachString(message, func(text string) string {
		if strings.Contains(strings.ToLower(text), address) {
			return with
		}

		return text
	})
}

// eachString calls a function with each string in a message, however deep,
// and replaces the string by what it returns. Keys of maps are only shown.
func eachString(message protoreflect.Message, visit func(string) string) {
	message.Range(func(field protoreflect.FieldDescriptor,
		value protoreflect.Value) bool {

		switch {
		case field.IsMap():
			eachInMap(field, value.Map(), visit)

		case field.IsList():
			eachInList(field, value.List(), visit)

		case field.Message() != nil:
			eachString(value.Message(), visit)

		case field.Kind() == protoreflect.StringKind:
			text := value.String()
			if changed := visit(text); changed != text {
				message.Set(field, protoreflect.ValueOfString(
					changed,
				))
			}
		}

		return true
	})
}

// eachInList is eachString for the elements of a list.
func eachInList(field protoreflect.FieldDescriptor, list protoreflect.List,
	visit func(string) string) {

	for i := range list.Len() {
		switch {
		case field.Message() != nil:
			eachString(list.Get(i).Message(), visit)

		case field.Kind() == protoreflect.StringKind:
			list.Set(i, protoreflect.ValueOfString(
				visit(list.Get(i).String()),
			))
		}
	}
}

// eachInMap is eachString for the values of a map.
func eachInMap(field protoreflect.FieldDescriptor, entries protoreflect.Map,
	visit func(string) string) {

	kind := field.MapValue()
	entries.Range(func(key protoreflect.MapKey,
		value protoreflect.Value) bool {

		switch {
		case kind.Message() != nil:
			eachString(value.Message(), visit)

		case kind.Kind() == protoreflect.StringKind:
			entries.Set(key, protoreflect.ValueOfString(
				visit(value.String()),
			))
		}

		return true
	})
}
