package chainscan

import (
	"errors"
	"fmt"
	"os"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/looprecovery/looprecovery/chainscan/bip158"
)

const (
	// filterFilePattern names the file of a filterRecord. It has the name
	// for a moment only.
	filterFilePattern = "filters-*.tmp"

	// searchBlocks is the number of filters of a record that are searched
	// at once.
	searchBlocks = 250
)

// filterRecord is a memory of the filters of all blocks that a pass has walked
// since the birthday. A script that becomes known late is asked for in them,
// without another download: only blocks whose filters do not rule it out are
// fetched. The filters name the spends of a script's outputs too, so that
// outpoints need not be looked up.
//
// The first filters are kept in memory, and those beyond its budget in a file,
// which has no name, so that it is gone with the process.
type filterRecord struct {
	// first is the height of the first block.
	first int32

	// memory and disk are how many bytes may still be kept in either.
	memory, disk int64

	// dir is where the file is made; none if empty.
	dir  string
	file *os.File

	blocks []recordedFilter
	sieve  filterSieve
}

// recordedFilter is the filter of a block.
type recordedFilter struct {
	hash chainhash.Hash

	// data is the filter. If nil, it is in the file, by offset and size.
	data   []byte
	offset int64
	size   int
}

var _ record = (*filterRecord)(nil)

// newFilterRecord returns an empty record.
func newFilterRecord(first int32, dir string, tuning *tuning) *filterRecord {
	return &filterRecord{
		first:  first,
		memory: int64(tuning.recordBudget),
		disk:   tuning.filterBudget,
		dir:    dir,
	}
}

// start returns the height of the first block.
func (r *filterRecord) start() int32 {
	return r.first
}

// add appends a block. It fails if its filter is not known, or cannot be kept.
func (r *filterRecord) add(blk block, _ *fingerprints) error {
	if blk.filter == nil {
		return errNotRecorded
	}

	kept := recordedFilter{hash: blk.Hash, size: len(blk.filter)}
	size := int64(kept.size)
	switch {
	case size <= r.memory:
		kept.data = blk.filter
		r.memory -= size

	case size <= r.disk:
		kept.offset = r.end()
		if err := r.write(blk.filter, kept.offset); err != nil {
			return err
		}
		r.disk -= size

	default:
		return errRecordFull
	}
	r.blocks = append(r.blocks, kept)

	return nil
}

// end returns the offset behind the last filter in the file.
func (r *filterRecord) end() int64 {
	for i := len(r.blocks) - 1; i >= 0; i-- {
		if kept := &r.blocks[i]; kept.data == nil {
			return kept.offset + int64(kept.size)
		}
	}

	return 0
}

// write writes a filter to the file, and makes the file first.
func (r *filterRecord) write(data []byte, offset int64) error {
	if r.file == nil {
		if r.dir == "" {
			return errRecordFull
		}
		file, err := os.CreateTemp(r.dir, filterFilePattern)
		if err != nil {
			return fmt.Errorf("a file for filters: %w", err)
		}
		if err := os.Remove(file.Name()); err != nil {
			return errors.Join(
				fmt.Errorf("a file for filters: %w", err),
				file.Close(), os.Remove(file.Name()),
			)
		}
		r.file = file
	}
	if _, err := r.file.WriteAt(data, offset); err != nil {
		return fmt.Errorf("keep a filter: %w", err)
	}

	return nil
}

// truncate forgets all blocks above a height.
func (r *filterRecord) truncate(height int32) {
	keep := max(int(height-r.first)+1, 0)
	if keep >= len(r.blocks) {
		return
	}
	for _, kept := range r.blocks[keep:] {
		if kept.data != nil {
			r.memory += int64(kept.size)
		} else {
			r.disk += int64(kept.size)
		}
	}
	r.blocks = r.blocks[:keep]
}

// search returns all blocks that can pay or spend what the query looks for.
func (r *filterRecord) search(q *query) ([]BlockStamp, error) {
	if len(q.scripts) == 0 {
		return nil, nil
	}

	var (
		stamps  []BlockStamp
		scripts = bip158.NewScripts(q.scripts)
	)
	for from := 0; from < len(r.blocks); from += searchBlocks {
		to := min(from+searchBlocks, len(r.blocks))
		blocks, err := r.read(from, to)
		if err != nil {
			return nil, err
		}
		hits, err := r.sieve.match(scripts, blocks)
		if err != nil {
			return nil, err
		}
		for i, hit := range hits {
			if hit {
				stamps = append(stamps, blocks[i].BlockStamp)
			}
		}
	}

	return stamps, nil
}

// read returns some blocks with their filters.
func (r *filterRecord) read(from, to int) ([]block, error) {
	blocks := make([]block, 0, to-from)
	for i := from; i < to; i++ {
		kept := &r.blocks[i]
		data := kept.data
		if data == nil {
			data = make([]byte, kept.size)
			_, err := r.file.ReadAt(data, kept.offset)
			if err != nil {
				return nil, fmt.Errorf("read a filter: %w", err)
			}
		}
		blocks = append(blocks, block{
			BlockStamp: BlockStamp{
				Height: r.first + int32(i), Hash: kept.hash,
			},
			filter: data,
		})
	}

	return blocks, nil
}

// close lets the file go.
func (r *filterRecord) close() {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
}

var (
	// errRecordFull says that the record's budget is used up.
	errRecordFull = errors.New("no room")

	// errNotRecorded says that what the record is made of is not known of
	// a block, because the scan reads filters and blocks in turn.
	errNotRecorded = errors.New("blocks are read in another way")
)
