package recoverydb

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// logged is a journal whose process was killed: a file, and a log with several
// transactions.
type logged struct {
	intact

	// log is the content of the log, and ends are the places in it where
	// its transactions end.
	log  []byte
	ends []int
}

// newLogged makes a journal with a log.
func newLogged(t *testing.T) logged {
	t.Helper()

	path := filepath.Join(t.TempDir(), "recovery.db")
	db, err := Open(path)
	require.NoError(t, err)
	fill(t, db)
	l := logged{intact: intact{rows: dump(t, db)}}
	l.file, err = os.ReadFile(path)
	require.NoError(t, err)
	l.log, err = os.ReadFile(path + logSuffix)
	require.NoError(t, err)
	require.NoError(t, db.Close())

	for at := walHeader; at < len(l.log); at += walFrame + pageSize {
		if binary.BigEndian.Uint32(l.log[at+4:]) != 0 {
			l.ends = append(l.ends, at+walFrame+pageSize)
		}
	}
	require.Greater(t, len(l.ends), 20)

	return l
}

// damaged returns the journal with another log.
func (l logged) damaged(t *testing.T, log []byte) damaged {
	t.Helper()

	return l.damage(t, map[string][]byte{"": l.file, logSuffix: log})
}

// TestTornLog breaks a transaction in the middle of the log, in its page or in
// its header. SQLite would go back to the state before it without a word.
func TestTornLog(t *testing.T) {
	l := newLogged(t)
	for _, n := range []int{0, 1, len(l.ends) / 2, len(l.ends) - 3} {
		for name, at := range map[string]int{
			"page":     l.ends[n] + walFrame + 100,
			"salt":     l.ends[n] + 9,
			"checksum": l.ends[n] + 17,
		} {
			t.Run(fmt.Sprint(n, name), func(t *testing.T) {
				t.Parallel()
				log := bytes.Clone(l.log)
				log[at] ^= 1
				report, _ := l.damaged(t, log).open()
				require.Equal(t, TornLog,
					report.SetAside[0].Damage)
			})
		}
	}

	t.Run("header", func(t *testing.T) {
		for _, at := range []int{0, 9, 17, 25} {
			log := bytes.Clone(l.log)
			log[at] ^= 1
			report, _ := l.damaged(t, log).open()
			require.Equal(t, TornLog, report.SetAside[0].Damage)
		}
	})
}

// TestPowerCutLog checks that what a power cut leaves of the log is not taken
// for damage: a last transaction that nobody was told of, in any state, and an
// end at any place.
func TestPowerCutLog(t *testing.T) {
	l := newLogged(t)
	last := len(l.ends) - 1
	broken := bytes.Clone(l.log)
	broken[l.ends[last-1]+walFrame+7] ^= 1
	for name, log := range map[string][]byte{
		"none":             {},
		"header":           l.log[:walHeader],
		"whole":            l.log,
		"part of a header": l.log[:walHeader/2],
		"part of a frame":  l.log[:l.ends[last]-9],
		"a transaction":    l.log[:l.ends[last-5]],
		"broken":           broken,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "recovery.db")
			require.NoError(t, os.WriteFile(
				path+logSuffix, log, fileMode,
			))
			require.NoError(t, checkLog(path+logSuffix))
		})
	}
}
