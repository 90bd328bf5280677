// Package bip158 tells which blocks can hold a payment to, or from, one of a
// set of scripts, by their compact filters (BIP 158, basic filters).
//
// A filter is a set of numbers below N*784931, one for each script that the
// block pays or spends, sorted, and written as the Golomb-Rice code of their
// differences. To ask for a script one hashes it with the block's key into the
// same range. A number that is in the filter can be another script's, with a
// probability of one in 784931; one that is not proves that the script is not.
//
// A Golomb-Rice code can only be read from its beginning, and each element must
// be read before it is known where the next one lies, so that a processor waits
// most of the time. A Matcher therefore reads four filters side by side. It
// reads each to its end, whatever it finds: a filter that is not well formed is
// an error and never a block that is passed over.
//
// Scripts have 34 bytes, as taproot outputs do. The hash is that of BIP 158 to
// the last bit, and nothing is allocated once the buffers have their size.
package bip158
