package chainscan

import (
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// BlockStamp names a block of the best chain.
type BlockStamp struct {
	// Height is the block's height; the genesis block has height 0.
	Height int32

	// Hash is the block's hash in internal byte order.
	Hash chainhash.Hash
}

// ScriptID says where in lnd's key tree the client key of a script lies.
type ScriptID struct {
	// Family is lnd's key family.
	Family int32

	// Index is the key's index within the family.
	Index uint32
}

// Output is an output of the chain that pays a known script. It is the one
// type for a found output in this project.
type Output struct {
	// OutPoint names the output.
	OutPoint wire.OutPoint

	// Script says which script is paid.
	Script ScriptID

	// PkScript is the output script.
	PkScript []byte

	// Value is the amount in satoshis.
	Value btcutil.Amount

	// Block is the block that holds the funding transaction.
	Block BlockStamp

	// BlockTime is the time in the header of that block, in unix seconds.
	BlockTime int64

	// FundingTx is the serialised funding transaction with its witness.
	FundingTx []byte

	// Spend is the confirmed spend of the output, or nil.
	Spend *Spend
}

// Spend is a confirmed spend of an output.
type Spend struct {
	// TxID is the hash of the spending transaction.
	TxID chainhash.Hash

	// InputIndex is the spending input.
	InputIndex uint32

	// Block is the block that holds the spending transaction.
	Block BlockStamp

	// BlockTime is the time in the header of that block, in unix seconds.
	BlockTime int64

	// SpendingTx is the serialised spending transaction with its witness.
	SpendingTx []byte
}
