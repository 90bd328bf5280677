// Package btcrpc reads the chain over the JSON-RPC interface of the user's own
// node: whole blocks, and compact filters by the hundred where the node has an
// index of them. It speaks with btcd and with bitcoind, finds out which of the
// two it is, and tells what the node can do.
//
// What a node needs: btcd has the index unless it is started with --nocfilters;
// bitcoind needs blockfilterindex=1. A node that is pruned gives filters, too.
package btcrpc
