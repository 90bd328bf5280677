package loopd

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTryFor checks what a start does with something that it can do without:
// what may pass is waited for within the limit, and what needs a person not at
// all.
func TestTryFor(t *testing.T) {
	passing := errors.New("it may pass")
	for name, test := range map[string]struct {
		fails  []error
		want   bool
		within time.Duration
	}{
		"at once": {want: true},
		"soon": {
			fails: []error{passing}, want: true,
			within: time.Second,
		},
		"too late":    {fails: make([]error, 100), within: watchLimit},
		"not by time": {fails: []error{errBroken, errBroken}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, tries := time.Now(), 0
				step := func(context.Context) error {
					tries++
					if tries > len(test.fails) {
						return nil
					}
					err := test.fails[tries-1]
					if err != nil {
						return err
					}

					return passing
				}
				err := tryFor(
					t.Context(), watchLimit, "x", step,
				)
				require.Equal(t, test.want, err == nil)
				require.Equal(t, test.within, time.Since(began))
			})
		})
	}
}
