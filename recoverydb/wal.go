package recoverydb

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
)

// The form of a write-ahead log
// (https://www.sqlite.org/fileformat2.html#walformat): a header, and then
// frames of a header and a page. All numbers are big endian.
const (
	// walHeader and walFrame are the sizes of the two headers in bytes.
	walHeader, walFrame = 32, 24

	// walMagic begins a log whose checksums read words as little endian;
	// with the lowest bit set they are big endian.
	walMagic = 0x377f0682

	// maxPage is the largest size of a page that SQLite knows.
	maxPage = 65_536
)

// walReader walks the frames of a write-ahead log.
type walReader struct {
	source *bufio.Reader
	order  binary.ByteOrder

	// salts are those of the log's present life, 8 bytes: frames of an
	// earlier one, which lie behind, have others.
	salts string

	// sum is the checksum up to the last frame.
	sum [2]uint32

	// frame is the frame that was read last, header and page.
	frame []byte
}

// checkLog returns an error with TornLog if a transaction in a log is broken
// that had been durable. SQLite takes the first broken frame for the end of the
// log: it would leave out that transaction, and all that came after it, without
// a word.
//
// A power cut breaks the last transaction only, which nobody was told to be
// stored: each one is synced before the next one begins. So what tells the two
// apart is a further frame behind the end of the broken transaction.
func checkLog(path string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()

	log, err := newWalReader(file)
	if err != nil || log == nil {
		return err
	}
	broken, ended := false, false
	for {
		whole, err := log.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil

		case err != nil:
			return err
		}
		broken = broken || !whole
		if !broken || !log.ofThisLife() {
			continue
		}
		if ended {
			return &damageError{damage: TornLog}
		}
		ended = log.commits()
	}
}

// newWalReader reads the header of a log. It returns nil if there is no whole
// one, and then no frame.
func newWalReader(file io.Reader) (*walReader, error) {
	w := &walReader{source: bufio.NewReader(file)}
	header := make([]byte, walHeader)
	_, err := io.ReadFull(w.source, header)
	if atEnd(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}

	// The header is synced before the first frame is written.
	magic := binary.BigEndian.Uint32(header)
	size := binary.BigEndian.Uint32(header[8:])
	if magic&^1 != walMagic || size == 0 || size > maxPage {
		return nil, w.unless(io.EOF)
	}
	w.order = binary.LittleEndian
	if magic&1 != 0 {
		w.order = binary.BigEndian
	}
	w.add(header[:24])
	if !w.sums(header[24:]) {
		return nil, w.unless(io.EOF)
	}
	w.salts = string(header[16:24])
	w.frame = make([]byte, walFrame+size)

	return w, nil
}

// unless returns an error with TornLog unless the log is at its end.
func (w *walReader) unless(end error) error {
	_, err := w.source.Peek(1)
	if errors.Is(err, end) {
		return nil
	}
	if err != nil {
		return err
	}

	return &damageError{damage: TornLog}
}

// next reads a frame and says whether it continues the log.
func (w *walReader) next() (bool, error) {
	_, err := io.ReadFull(w.source, w.frame)
	if atEnd(err) {
		return false, io.EOF
	}
	if err != nil {
		return false, err
	}
	w.add(w.frame[:8])
	w.add(w.frame[walFrame:])

	return w.ofThisLife() && w.sums(w.frame[16:]), nil
}

// ofThisLife says whether the frame was written after the log was last begun
// anew.
func (w *walReader) ofThisLife() bool {
	return string(w.frame[8:16]) == w.salts
}

// commits says whether the frame ends a transaction.
func (w *walReader) commits() bool {
	return binary.BigEndian.Uint32(w.frame[4:]) != 0
}

// sums says whether the checksum is the stored one.
func (w *walReader) sums(stored []byte) bool {
	return binary.BigEndian.Uint32(stored) == w.sum[0] &&
		binary.BigEndian.Uint32(stored[4:]) == w.sum[1]
}

// add adds bytes to the checksum.
func (w *walReader) add(data []byte) {
	for ; len(data) >= 8; data = data[8:] {
		w.sum[0] += w.order.Uint32(data) + w.sum[1]
		w.sum[1] += w.order.Uint32(data[4:]) + w.sum[0]
	}
}

// atEnd says whether a read came to the end of the log, if in the middle of a
// frame.
func atEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
