package backup

import (
	"path"
	"syscall"
	"testing"

	"github.com/looprecovery/looprecovery/internal/durable"
	"github.com/looprecovery/looprecovery/internal/testkit/crash"
	"github.com/stretchr/testify/require"
)

// TestPublishWeak checks that a place on a file system with neither hard links
// nor a rename that refuses to replace gets its copy, that the report tells the
// weaker promise, and that a file which a power cut tore there is left alone
// and never taken for the backup.
func TestPublishWeak(t *testing.T) {
	content, keys := testContent(t, 3), testKeys(t, 1)
	name := path.Join("/stick", FileName(
		content.TokenID, content.TokenCreated,
	))
	whole := seal(t, content, keys)
	torn := append(whole[:len(whole)/2:len(whole)/2],
		make([]byte, len(whole)/2)...)

	for _, refusal := range []error{
		syscall.ENOTSUP, syscall.EINVAL, syscall.EPERM,
	} {
		for what, before := range map[string][]byte{
			"nothing": nil, "torn": torn, "empty": {},
		} {
			stick := crash.New(0, "/stick")
			stick.Refuse(refusal)
			if before != nil {
				require.NoError(t, stick.Put(name, before))
			}
			store := NewStore(stick, "regtest", []string{"/stick"})

			report, err := store.Publish(t.Context(), content, keys)
			require.NoError(t, err, what)
			place := report.Places[0]
			require.Equal(t, Written, place.Status)
			require.Equal(t, durable.MaybeTorn, place.Promise)
			require.Equal(t, before == nil, place.Path == name)
			if before != nil {
				require.Equal(t, before, stick.Files()[name])
			}

			again, err := store.Publish(t.Context(), content, keys)
			require.NoError(t, err)
			require.Equal(t, AlreadyThere, again.Places[0].Status)
			require.Equal(t, place.Path, again.Places[0].Path)
		}
	}
}
