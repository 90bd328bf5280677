// Package lndview is lnd as the embedded daemon sees it. It decorates the
// lndclient services that the embedded daemon is given, so that a wallet which
// is blind for the static address still shows every deposit.
//
// lnd never looks back: a script that is imported after an output confirmed
// stays without that output, on every backend. Upstream takes "not in
// ListUnspent" for "gone", stops watching the deposit and never sweeps it at
// its timeout. A View closes that gap, and nothing else: it answers with
// everything it stands for or with an error, never with less.
//
// # When it speaks
//
// For each script the Ledger holds one record.
//
//   - No record, or a script that lnd's wallet knew already when it was
//     imported: lnd's own answer stands, absence included. Replaced and reorged
//     deposits behave as with upstream.
//   - Blind: from the moment the intent to import is saved, and for good once
//     the import turned out to be new. An intent that was saved twice without
//     an outcome counts as new: the first import may have been ours, and lnd
//     would then answer "known" although it looked at no block.
//   - Blind as well: from the moment a recovery saves its intent to import, known
//     or not. Whoever lost the ledger with the rest of a directory cannot tell
//     whether the script is known because an earlier recovery imported it.
//   - Covered: blind, and a scan from the birthday was published. What the scan
//     proved stays ours to report until it is spent.
//
// While a script is blind and not covered, every live row of the embedded
// daemon's database that lnd does not list is reported as provisionally
// unspent. Provisional names those rows, so that calls which would spend them
// can be refused. Reporting too much for a while leaves at worst a stuck row;
// too little makes upstream settle the deposit's fate for good.
//
// Publish ends this for the scripts the scan tested. A row is from then on what
// the chain says: an unspent output is reported with the height of its block; a
// spent one is not reported; one that is not on the chain at all is not
// reported by us, and lnd, which watches the script since the import, lists it
// by itself as soon as it confirms.
//
// Whatever lnd's wallet holds as an output of its own, because it learned of it
// after all, is lnd's to report: lnd's entry stands when it lists the output,
// and its absence stands when it does not.
//
// # What it follows
//
// From the published tip on, the View walks each new block and records the
// spends of the outputs it stands for, and new outputs of covered scripts. This
// happens inside the calls, one at a time, up to exactly the tip that lnd
// reports; an answer holds at one tip, which is read before and after lnd's
// wallet is asked. A reorg removes what was found above the last common block
// and walks again. A call that would have to walk too many blocks keeps what it
// walked and fails with *BehindError; the next call goes on from there.
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
