package twin

import (
	"context"
	"sync"

	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/looprecovery/looprecovery/actions"
)

// Rows is the table of static addresses in loopd's database.
type Rows struct {
	calls *calls
	gate  *Gate

	mu   sync.Mutex
	rows []*script.Parameters
}

var _ actions.Rows = (*Rows)(nil)

// All returns all rows.
func (r *Rows) All(ctx context.Context) ([]*script.Parameters, error) {
	var rows []*script.Parameters
	err := r.calls.do(ctx, "rows.All", func() error {
		rows = r.Get()

		return nil
	})

	return rows, err
}

// Create inserts a row. Doing so while the embedded daemon runs, or beside
// another row, is a violation.
func (r *Rows) Create(ctx context.Context, row *script.Parameters) error {
	return r.calls.do(ctx, "rows.Create", func() error {
		if !r.gate.Closed() {
			r.calls.violate("row written with the gate open")
		}
		if len(r.Get()) > 0 {
			r.calls.violate("row written beside another one")
		}
		r.Put(row)

		return nil
	})
}

// Get returns copies of the rows, without a call of a port.
func (r *Rows) Get() []*script.Parameters {
	r.mu.Lock()
	defer r.mu.Unlock()

	rows := make([]*script.Parameters, 0, len(r.rows))
	for _, row := range r.rows {
		clone := *row
		rows = append(rows, &clone)
	}

	return rows
}

// Put inserts a row as the embedded daemon or a life before the test did.
func (r *Rows) Put(row *script.Parameters) {
	r.mu.Lock()
	defer r.mu.Unlock()

	clone := *row
	r.rows = append(r.rows, &clone)
}

// Lose empties the table.
func (r *Rows) Lose() {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.rows = nil
}
