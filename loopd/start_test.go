package loopd

import (
	"testing"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/internal/startdecision"
	"github.com/looprecovery/looprecovery/states"
	"github.com/stretchr/testify/require"
)

// TestFound checks what a look for a backup means for the start: what could not
// be read may be the backup.
func TestFound(t *testing.T) {
	places := []actions.SeenPlace{{Path: "/usb", Error: "gone"}}
	for name, test := range map[string]struct {
		look actions.Look
		want startdecision.Search
	}{
		"nothing": {
			look: actions.Look{Reason: states.NoBackupFound},
		},
		"a backup": {
			look: actions.Look{Located: &actions.Located{}},
			want: startdecision.Search{
				Candidate: startdecision.Restorable,
			},
		},
		"a backup, and a place that does not answer": {
			look: actions.Look{
				Located: &actions.Located{}, Places: places,
			},
			want: startdecision.Search{
				Candidate: startdecision.Restorable,
				Silent:    []string{"/usb"},
			},
		},
		"two that contradict": {
			look: actions.Look{Reason: states.BackupConflict},
			want: startdecision.Search{
				Candidate: startdecision.Obstructed,
			},
		},
		"a place that does not answer": {
			look: actions.Look{
				Reason: states.PlaceUnreadable, Places: places,
			},
			want: startdecision.Search{Silent: []string{"/usb"}},
		},
		"a file that cannot be read": {
			look: actions.Look{
				Reason: states.PlaceUnreadable,
				Detail: "/usb/a.lrb: input/output error",
			},
			want: startdecision.Search{Silent: []string{
				"/usb/a.lrb: input/output error",
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, found(test.look))
		})
	}
}
