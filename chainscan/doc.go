// Package chainscan finds every output that pays one of a growing set of
// scripts, and every spend of such an output, by walking the chain itself. It
// asks no wallet: an lnd wallet does not list what confirmed before a script
// was imported.
//
// A scan starts at a birthday and ends when, at the tip of the best chain,
// every script that became known was tested against every block. A script that
// becomes known because of a match is tested against that same block and all
// earlier ones too.
//
// The package knows chains and scripts. Where blocks come from is a Source,
// which scripts there are a Family, and where progress is kept a Checkpoint.
package chainscan
