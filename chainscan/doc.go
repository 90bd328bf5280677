// Package chainscan finds every output that pays one of a growing set of
// scripts, and every spend of such an output, by walking the chain itself. It
// asks no wallet: an lnd wallet does not list what confirmed before a script
// was imported.
//
// A scan starts at a birthday and ends when, at the tip of the best chain,
// every script that became known was tested against every block. A script that
// becomes known because of a match is tested against that same block and all
// earlier ones too, so the order in which scripts become known does not change
// the result.
//
// The package knows chains and scripts. Where blocks come from is a Source,
// which scripts there are a Family, and where progress is kept a Checkpoint.
//
// # Held or run
//
// A Scan is opened on its checkpoint, brought forward by as many blocks as one
// likes, asked, and closed; whoever opens it again goes on there. Run does that
// until the scan is complete. Whatever interrupts a step (an error of the
// source, a caller who leaves, a checkpoint that cannot be written), the next
// one goes on from what is held.
//
// A best chain that contradicts what was walked is a reorg. One that merely
// ends lower is that of a node that is catching up, and nothing is taken back
// for it.
//
// # How a scan works
//
// A fetcher asks the source for several blocks at a time, as many as bring them
// faster, checks each against its hash and merkle root, and hands them over in
// the order of the chain. A walker reads the block's bytes as they are: outputs
// that pay known keys, inputs that spend known outpoints. A block that does not
// follow the one before is a reorg: everything above the last common block is
// taken back, and the walk goes on from there. The cursor and what was found up
// to it are saved together, every few hundred blocks or every second.
//
// An index of a family counts as used if it was ever paid, spent or not. The
// scripts up to the look-ahead beyond the highest used index must be tested
// against all blocks. Most of those that become known late were tested from the
// start, because the scan derives ahead of its need. The others are looked up
// in a compact record of the blocks walked, of four bytes for each taproot
// output and each input, so that only blocks that can hold them are fetched
// again. Where the record has no room, or the process died since, another pass
// walks the chain for them.
//
// # By filters
//
// Beside the Source, which says what the best chain is, there can be sources of
// compact filters (BIP 158). Then most blocks are not fetched: a block whose
// filter holds none of the scripts neither pays nor spends them. A script that
// becomes known late is asked for in the filters of the blocks before, which
// are kept for the length of the pass, so that it costs no second download.
//
// What a source of filters says is checked three ways: its blocks must follow
// each other, the last one of each answer must be the Source's, and the filters
// must be those that its filter headers (BIP 157) commit to. That these headers
// are right is the source's word, so that it must be a node of the user's own.
// A source that fails, hangs or contradicts any of that is left aside for a
// while and the next one asked; with none left every block is fetched.
//
// The scripts are taproot outputs. Nothing in the package is secret.
package chainscan
