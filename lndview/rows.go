package lndview

import (
	"context"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
)

// Deposit is a live row of the embedded daemon's deposit table.
type Deposit struct {
	// OutPoint names the output.
	OutPoint wire.OutPoint

	// PkScript is the script of the static address, which the table does
	// not hold; nil if there is more than one address.
	PkScript []byte

	// Value is the amount in satoshis.
	Value btcutil.Amount

	// ConfirmationHeight is the height of the funding block according to
	// the row, or 0 if the output was unconfirmed. It can be some blocks
	// too low.
	ConfirmationHeight int64

	// State is upstream's name of the deposit's state, for the operator.
	State string
}

// Rows reads the embedded daemon's deposit table. It is called from several
// goroutines at once, beside the running daemon.
type Rows interface {
	// LiveDeposits returns every row that is not in a final state.
	LiveDeposits(ctx context.Context) ([]Deposit, error)
}
