package lndview

// mutant is a fault that a test puts into a View on purpose: tests that would
// not notice it are worth nothing. A View of the product has none.
type mutant uint8

const (
	// trustsMemory takes an address for seen by lnd's wallet if nothing is
	// known to the contrary: a wallet rebuilt out of our sight, a lost or
	// an older ledger, a second owner, a first start.
	trustsMemory mutant = iota + 1

	// trustsProof lets lnd's own answer stand once a scan has ended: a
	// second loss, a reset of the wallet's transactions.
	trustsProof

	// lowerIsReorg takes a node that is behind for a reorg.
	lowerIsReorg

	// doubtsProof counts a seeing wallet as blind: after an import that
	// failed once.
	doubtsProof

	// twoMoments asks for what is answered before what tells what lnd's
	// wallet knows.
	twoMoments

	// absentIsGone takes an output that lnd does not list while it is
	// asked to spend it for spent.
	absentIsGone

	// behindIsLess leaves out what is not proven while the chain is not
	// followed to the tip.
	behindIsLess

	// reportsTwice adds what lnd has learned of meanwhile.
	reportsTwice
)

// has says whether a test has put a fault into the view.
func (v *View) has(fault mutant) bool {
	return v.mutant == fault
}
