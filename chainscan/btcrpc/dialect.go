package btcrpc

import (
	"github.com/looprecovery/looprecovery/chainscan"
)

// basicFilter is the number that btcd gives to basic filters, and basicName the
// name that bitcoind gives to them.
const (
	basicFilter = 0
	basicName   = "basic"
)

// dialect is how one of the two nodes is asked for filters.
type dialect struct {
	// node names the node.
	node string

	// filterCall asks for the filter of a block, and calls for all there
	// is to know of it.
	filterCall func(hash string) call
	calls      func(hash string) []call

	// read reads the answers to calls.
	read func(replies []reply, blk *chainscan.FilteredBlock) error
}

// btcd has one method for the filter and one for its header.
var btcd = &dialect{
	node:       "btcd",
	filterCall: callBtcd,
	calls: func(hash string) []call {
		return []call{
			headerCall(hash), callBtcd(hash), {
				method: "getcfilterheader",
				params: []any{hash, basicFilter},
			},
		}
	},
	read: func(replies []reply, blk *chainscan.FilteredBlock) error {
		var header, filter, filterHeader string
		for i, text := range []*string{
			&header, &filter, &filterHeader,
		} {
			if err := replies[i].decode(text); err != nil {
				return err
			}
		}

		return fill(blk, header, filter, filterHeader)
	},
}

// bitcoind has one method for both.
var bitcoind = &dialect{
	node:       "bitcoind",
	filterCall: callBitcoind,
	calls: func(hash string) []call {
		return []call{headerCall(hash), callBitcoind(hash)}
	},
	read: func(replies []reply, blk *chainscan.FilteredBlock) error {
		var (
			header string
			filter struct {
				Filter string `json:"filter"`
				Header string `json:"header"`
			}
		)
		if err := replies[0].decode(&header); err != nil {
			return err
		}
		if err := replies[1].decode(&filter); err != nil {
			return err
		}

		return fill(blk, header, filter.Filter, filter.Header)
	},
}

// headerCall asks either node for a serialised block header.
func headerCall(hash string) call {
	return call{method: "getblockheader", params: []any{hash, false}}
}

// callBtcd asks btcd for a filter.
func callBtcd(hash string) call {
	return call{method: "getcfilter", params: []any{hash, basicFilter}}
}

// callBitcoind asks bitcoind for a filter and its header.
func callBitcoind(hash string) call {
	return call{method: "getblockfilter", params: []any{hash, basicName}}
}

// fill decodes what is known of a block.
func fill(blk *chainscan.FilteredBlock, header, filter,
	filterHeader string) error {

	var err error
	if blk.Header, err = decodeHex(header); err != nil {
		return err
	}
	if blk.Filter, err = decodeHex(filter); err != nil {
		return err
	}
	blk.FilterHeader, err = parseHash(filterHeader)

	return err
}
