package itest

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

const (
	// pendingName is the name of a token that is not paid for,
	// oldTokenName upstream's former name of one that is.
	pendingName  = "l402.token.pending"
	oldTokenName = "lsat.token"

	// preimageSize and tokenTail are the lengths of a token's preimage and
	// of what follows it, in bytes.
	preimageSize = 32
	tokenTail    = 24
)

// tokenTroubles are those of the token file and of the backups beside it.
func tokenTroubles() []trouble {
	return []trouble{{
		name: "token-empty-after-power-cut", brief: true,
		before: healthy,
		cause:  func(p *patient) { p.write(tokenName, nil) },
		mend:   func(*patient) {},
		want:   symptoms{up: true},
	}, {
		name: "token-pending", before: tokenAlone,
		cause: func(p *patient) {
			raw, err := os.ReadFile(p.path(tokenName))
			require.NoError(p, err)
			at := len(raw) - tokenTail - preimageSize
			clear(raw[at : at+preimageSize])
			p.write(pendingName, raw)
			require.NoError(p, os.Remove(p.path(tokenName)))
		},
		mend: func(*patient) {},
		want: symptoms{up: true, warning: states.WarnTokenPending},
	}, {
		name: "token-under-its-old-name", before: healthy,
		cause: func(p *patient) {
			require.NoError(p, os.Rename(
				p.path(tokenName), p.path(oldTokenName),
			))
		},
		mend: func(*patient) {},
		want: symptoms{up: true},
	}, {
		name: "token-bought-tomorrow", before: healthy,
		cause: func(p *patient) {
			_, err := p.Mine(p.Context(), 2)
			require.NoError(p, err)
			p.removeBackups(p.Loopd)
			p.postdateToken(p.Loopd, 24*time.Hour)
			for _, suffix := range []string{"", "-wal", "-shm"} {
				require.NoError(p, os.RemoveAll(
					p.path(journalName+suffix),
				))
			}
		},
		mend: func(*patient) {},
		want: symptoms{
			up: true, warning: states.WarnNotProtected,
		},
	}, {
		name: "backup-damaged", before: healthy,
		cause: func(p *patient) {
			path := p.onlyBackup()
			require.NoError(p, os.Chmod(path, 0o600))
			data, err := os.ReadFile(path)
			require.NoError(p, err)
			data[len(data)/2] ^= 1
			require.NoError(p, os.WriteFile(path, data, 0o600))
		},
		mend: func(*patient) {},
		want: symptoms{up: true, warning: states.WarnDamaged},
	}, {
		name: "backup-of-another-seed", before: empty,
		cause: func(p *patient) {
			other := newPatient(p.T, p.story, "other-seed")
			other.SetLnd(p.Client)
			healthy(other)
			copyTo(p, other.onlyBackup(), p.place("found"))
			name := filepath.Base(other.onlyBackup())
			data, err := os.ReadFile(p.place("found"))
			require.NoError(p, err)
			p.write(name, data)
			ownLnd(p)
		},
		mend: func(*patient) {},
		want: symptoms{up: true},
	}}
}

// onlyBackup returns the path of the one backup in the data directory.
func (p *patient) onlyBackup() string {
	p.Helper()

	found, err := filepath.Glob(p.path(backupPattern))
	require.NoError(p, err)
	require.Len(p, found, 1)

	return found[0]
}

// processTroubles are those of the process and of what is asked of it.
func processTroubles() []trouble {
	return []trouble{{
		name: "port-taken", before: healthy,
		cause: func(p *patient) {
			p.args = []string{
				"--rpclisten=" + p.story.Network.Swap.Address(),
			}
		},
		mend: func(p *patient) { p.args = nil },
		want: symptoms{exits: true},
	}, {
		name: "second-loopd", before: healthy,
		cause: func(p *patient) {
			first := newPatient(p.T, p.story, "first-loopd")
			first.args = []string{"--loopdir=" + p.Dir()}
			first.launch()
			require.NoError(p, first.waitOwner())
			p.Cleanup(func() { _ = first.Stop() })
			p.other = first
		},
		mend: func(p *patient) { require.NoError(p, p.other.Stop()) },
		want: symptoms{
			exits: true, log: "another loopd owns", often: true,
		},
	}, {
		name: "request-without-parameters", brief: true,
		before: healthy, running: true,
		cause: func(p *patient) {
			status := p.post("/v1/liquidity/params", "{}")
			require.Equal(p, http.StatusBadRequest, status)
		},
		mend: func(*patient) {},
		want: symptoms{up: true},
	}, {
		name:   "journal-garbage-while-running",
		before: healthy, running: true,
		cause: func(p *patient) {
			p.overwrite(journalName, bytes.Repeat(
				[]byte{0xa5}, 4*pageSize,
			), 0)
		},
		mend: func(*patient) {},
		want: symptoms{
			up: true, warning: states.WarnJournalUnreadable,
		},
	}, {
		name:   "place-vanishes-while-running",
		before: inPlaceToo, running: true,
		cause: func(p *patient) {
			require.NoError(p, os.Rename(
				p.place("usb"), p.place("gone"),
			))
		},
		mend: func(p *patient) {
			require.NoError(p, os.Rename(
				p.place("gone"), p.place("usb"),
			))
		},
		want: symptoms{up: true, warning: states.WarnPlaceUnreadable},
	}}
}

// inPlaceToo is healthy with a copy of the backup in a further place that is
// checked each second.
func inPlaceToo(p *patient) {
	p.Helper()

	require.NoError(p, os.Mkdir(p.place("usb"), 0o700))
	p.args = []string{
		"--recovery.backupdir=" + p.place("usb"),
		"--recovery.checkinterval=1s",
	}
	healthy(p)
}

// waitOwner waits until the daemon has become the owner of its directory.
func (p *patient) waitOwner() error {
	return eventually(p, "the first loopd", func() error {
		if !strings.Contains(p.log(), "RPC server listening") {
			return errNotYet
		}

		return nil
	})
}

// post sends a request to the REST port and returns the status code.
func (p *patient) post(path, body string) int {
	p.Helper()

	raw, err := os.ReadFile(p.MacaroonPath())
	require.NoError(p, err)
	request, err := http.NewRequestWithContext(p.Context(),
		http.MethodPost, "https://"+p.RESTAddress()+path,
		strings.NewReader(body))
	require.NoError(p, err)
	request.Header.Set("Grpc-Metadata-macaroon", hex.EncodeToString(raw))
	client := &http.Client{Transport: &http.Transport{
		// The certificate is the daemon's own, of this machine.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	response, err := client.Do(request)
	require.NoError(p, err)
	defer response.Body.Close()

	return response.StatusCode
}

// copyTo copies a file.
func copyTo(p *patient, from, to string) {
	p.Helper()

	data, err := os.ReadFile(from)
	require.NoError(p, err)
	require.NoError(p, os.WriteFile(to, data, 0o600), fmt.Sprint(to))
}
