package gate

import "context"

// Outlive returns a context with the values of a request and the life of the
// daemon: it ends with the daemon instead of with the request.
func Outlive(request context.Context, running Instance) context.Context {
	return outliving{Context: running.Context(), request: request}
}

// outliving is a context with the life of one and the values of another.
type outliving struct {
	context.Context

	// request has the values.
	request context.Context
}

// Value implements context.Context.
func (o outliving) Value(key any) any {
	if value := o.request.Value(key); value != nil {
		return value
	}

	return o.Context.Value(key)
}
