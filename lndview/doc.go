// Package lndview is lnd as the embedded daemon sees it. It decorates the
// lndclient services that the embedded daemon is given, so that a wallet which
// is blind for the static address still shows every deposit.
//
// lnd never looks back: a script that is imported after an output confirmed
// stays without that output, on every backend. Upstream takes "not in
// ListUnspent" for "gone", stops watching the deposit and never sweeps it at
// its timeout. A View closes that gap, and nothing else: it answers with
// everything it stands for, never with less, and fails only if lnd or the
// embedded daemon's database cannot be asked.
//
// # What is proven
//
// That lnd's wallet sees all that was ever paid to an address is proven by a
// scan of the chain from the birthday, and by nothing else. A missing memory of
// ours proves nothing: lnd can have been rebuilt, or its wallet reset, out of
// our sight; the ledger can be lost, or of yesterday; another owner can have
// been here.
//
//   - Covered: a scan from the birthday was published. From then on the chain
//     tells, followed by us block by block, whatever becomes of lnd.
//   - Unproven: every other address in place. Every live row of the embedded
//     daemon's database that lnd neither lists nor owns is then reported as
//     provisionally unspent.
//
// Provisional names those rows, so that calls which would spend them can be
// refused. Whose lnd lists or owns every row is refused nothing. Reporting too
// much for a while leaves at worst a stuck row; too little makes upstream
// settle the deposit's fate for good.
//
// Of a covered address a row is what the chain says: an unspent output is
// reported with the height of its block; a spent one is not reported; one that
// is not on the chain at all is not reported by us, and lnd lists it by itself.
//
// Whatever lnd's wallet holds as an output of its own is lnd's to report: lnd's
// entry stands when it lists the output, and its absence stands when it does
// not. The one exception is what it is just being asked to spend: an lnd on
// neutrino drops that from its list while it still waits for a peer to take the
// transaction, and may refuse it in the end.
//
// # How an answer is put together
//
// lnd is asked what its wallet lists, then, if that lacks something, for its
// transactions, then what the caller wants to know; and that is completed. So
// whatever lnd learns of in between is in its own answer, and nothing is told
// twice. The tip of the chain is read before and after.
//
// # What it follows
//
// From the published tip on, the View walks each new block and records the
// spends of the outputs it stands for, and new outputs of covered addresses.
// This happens inside the calls, a limited number of blocks in each, up to the
// tip that lnd reports. A reorg removes what was found above the last common
// block. A tip that is lower and contradicts nothing is that of a node that is
// catching up: nothing is forgotten.
//
// While the chain cannot be followed to the tip (too many blocks at once,
// blocks that are not to be had, a node that is behind, a tip that never rests)
// the answer is provisional: all that was unspent as far as the chain was
// followed, and every live row of which no block is known.
//
// # When a spend hides an output
//
// An output that a transaction T spends is hidden as long as one of these
// holds, and comes back when none does:
//
//  1. T is in a block of the best chain, as followed by us.
//  2. lnd's wallet lists T, confirmed or not, and T can still confirm: no other
//     output we stand for that T spends was spent by another transaction in a
//     block. lnd's wallet lists every transaction it was asked to publish until
//     it confirms, is abandoned or is refused at a rebroadcast. It drops one
//     that is not otherwise its own once that confirmed; rule 1 takes over,
//     because the tip of an answer is read after the wallet was.
//  3. lnd accepted T from us (PublishTransaction returned no error), and T is
//     still plausible. The publication is kept in the ledger, for lnd accepts a
//     transaction that its node holds already without always listing it. It
//     stops being plausible, and is forgotten, when T confirms, when T can no
//     longer confirm (see 2), when lnd listed T once and no longer does
//     (abandoned, or refused at a rebroadcast), or when lnd never listed it and
//     PublicationLife blocks have passed. Upstream publishes what it still
//     wants again with each block, which renews the publication. After a
//     reorg of T only rule 2 and a new publication hide its inputs.
//
// A spend that only the mempool of the node knows is not seen: the output is
// reported until that spend has one confirmation.
//
// Coinbase outputs are reported from their maturity on, as lnd does.
//
// Services reached through RawClientWithMacAuth are not decorated.
package lndview
