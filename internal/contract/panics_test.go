package contract

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lightninglabs/loop/loopd"
	"github.com/lightninglabs/loop/looprpc"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// callTime bounds one call of a handler. What waits longer waits for the lnd
// in memory, and got past its request.
const callTime = 2 * time.Second

// TestPanics drives every unary method of the real upstream server with each
// shape of its request: every message in it missing, present and empty, with
// numbers and strings zero or not. The ones that panic are the list that
// package loopd refuses (loopd/nilrequest.go). A panic of a handler ends
// upstream's process, with the locks of its managers held.
func TestPanics(t *testing.T) {
	cfg := config(t)
	cfg.EnableExperimental = true
	daemon := start(t, cfg)

	found := make(map[string]bool)
	for _, method := range looprpc.SwapClient_ServiceDesc.Methods {
		for _, request := range shapes(t, method.MethodName) {
			if !panics(t, daemon, method, request) {
				continue
			}
			line := method.MethodName + " without " +
				missing(request.ProtoReflect())
			found[line] = true

			// What panicked may hold a lock.
			fresh := config(t)
			fresh.EnableExperimental = true
			daemon = start(t, fresh)
		}
	}

	var lines []string
	for line := range found {
		lines = append(lines, line)
	}
	slices.Sort(lines)
	requireSnapshot(t, "panics.txt", `
		Requests with which a handler of upstream dereferences nil, by the
		messages that are missing in them.
		loopd/nilrequest.go refuses each of them.
	`, lines)
}

// panics calls a handler and reports whether it panicked.
func panics(t *testing.T, daemon *loopd.Daemon, method grpc.MethodDesc,
	request proto.Message) bool {

	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), callTime)
	defer cancel()

	result := make(chan any, 1)
	go func() {
		defer func() { result <- recover() }()
		_, _ = method.Handler(daemon, ctx, func(into any) error {
			message, ok := into.(proto.Message)
			require.True(t, ok)
			proto.Merge(message, request)

			return nil
		}, nil)
	}()

	select {
	case panicked := <-result:
		if panicked != nil {
			t.Logf("%s(%v): %v", method.MethodName, request,
				panicked)
		}

		return panicked != nil

	case <-time.After(callTime + time.Second):
		return false
	}
}

// shapes returns the requests to try a method with.
func shapes(t *testing.T, method string) []proto.Message {
	t.Helper()

	input := service().Methods().ByName(protoreflect.Name(method)).Input()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(
		input.FullName(),
	)
	require.NoError(t, err)

	fields := messageFields(input)
	require.LessOrEqual(t, len(fields), 8, "too many shapes: %s", method)

	var result []proto.Message
	for present := range 1 << len(fields) {
		for _, filled := range []bool{false, true} {
			request := kind.New()
			if filled {
				fillScalars(request)
			}
			for i, field := range fields {
				if present&(1<<i) == 0 {
					continue
				}
				setMessage(request, field)
			}
			result = append(result, request.Interface())
		}
	}

	return result
}

// messageFields returns the fields of a message that hold messages.
func messageFields(message protoreflect.MessageDescriptor) (
	result []protoreflect.FieldDescriptor) {

	fields := message.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		switch {
		case field.IsMap():
			if field.MapValue().Message() != nil {
				result = append(result, field)
			}

		case field.Message() != nil:
			result = append(result, field)
		}
	}

	return result
}

// setMessage sets a field to an empty message, or to one of them.
func setMessage(request protoreflect.Message,
	field protoreflect.FieldDescriptor) {

	switch {
	case field.IsMap():
		entries := request.Mutable(field).Map()
		entries.Set(
			protoreflect.ValueOfString("").MapKey(),
			entries.NewValue(),
		)

	case field.IsList():
		request.Mutable(field).List().AppendMutable()

	default:
		request.Mutable(field)
	}
}

// fillScalars gives each number, text and byte string of a message a value
// that is likely to pass a first check.
func fillScalars(message protoreflect.Message) {
	const number = 250_000

	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.IsList() || field.IsMap() {
			continue
		}
		switch field.Kind() {
		case protoreflect.Int64Kind:
			message.Set(field, protoreflect.ValueOfInt64(number))

		case protoreflect.Uint64Kind:
			message.Set(field, protoreflect.ValueOfUint64(number))

		case protoreflect.Int32Kind:
			message.Set(field, protoreflect.ValueOfInt32(9))

		case protoreflect.Uint32Kind:
			message.Set(field, protoreflect.ValueOfUint32(9))

		case protoreflect.BoolKind:
			message.Set(field, protoreflect.ValueOfBool(true))
		}
	}
}

// missing names the messages that a request lacks, or "anything".
func missing(request protoreflect.Message) string {
	var names []protoreflect.Name
	for _, field := range messageFields(request.Descriptor()) {
		if !request.Has(field) {
			names = append(names, field.Name())
		}
	}

	return fmt.Sprint(names)
}
