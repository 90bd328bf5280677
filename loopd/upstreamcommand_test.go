package loopd

import (
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/jessevdk/go-flags"
	upstream "github.com/lightninglabs/loop/loopd"
	"github.com/stretchr/testify/require"
)

// TestUpstreamArgs checks that upstream's own parser makes of our command line
// the configuration that we have, with every option set to something else than
// its default.
func TestUpstreamArgs(t *testing.T) {
	cfg := DefaultConfig()
	fillOptions(reflect.ValueOf(&cfg.Config).Elem())
	cfg.Network = "regtest"
	cfg.DatabaseBackend = upstream.DatabaseBackendPostgres
	cfg.Logging = upstream.DefaultConfig().Logging
	cfg.ShowVersion = false

	args, err := upstreamArgs(&cfg)
	require.NoError(t, err)
	got := upstream.DefaultConfig()
	parseUpstream(t, &got, args)
	cfg.ConfigFile = os.DevNull
	require.Equal(t, cfg.Config, got)
}

// TestUpstreamArgsDefaults checks the same with the defaults, but for tapd: a
// view without it must not look for it.
func TestUpstreamArgsDefaults(t *testing.T) {
	cfg := DefaultConfig()
	args, err := upstreamArgs(&cfg)
	require.NoError(t, err)
	got := upstream.DefaultConfig()
	parseUpstream(t, &got, args)
	require.Empty(t, got.Tapd.Host)
	require.NotEmpty(t, cfg.Tapd.Host)

	got.Tapd.Host, got.ConfigFile = cfg.Tapd.Host, cfg.ConfigFile
	if got.Postgres != nil && cfg.Postgres == nil {
		got.Postgres = nil
	}
	require.Equal(t, cfg.Config, got)
}

// TestViewLeavesNothing checks that a command of upstream writes our
// configuration nowhere: it may hold a password of the database.
func TestViewLeavesNothing(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	before := os.Args
	t.Cleanup(func() { os.Args = before })

	cfg, err := load(t, `
[postgres]
postgres.password=secret
`, "--totalpaymenttimeout=1000h")
	require.NoError(t, err)

	// Upstream refuses the timeout, before it asks for lnd.
	err = runUpstreamCommand(cfg, "view")
	require.ErrorContains(t, err, "max total payment timeout")
	require.Contains(t, os.Args, "--postgres.password=secret")
	require.Equal(t, "view", os.Args[len(os.Args)-1])
	entries, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// fillOptions gives each option a value that is not its default.
func fillOptions(options reflect.Value) {
	for i := range options.NumField() {
		field := options.Field(i)
		switch kind := field.Kind(); {
		case kind == reflect.Pointer:
			if field.IsNil() {
				field.Set(reflect.New(field.Type().Elem()))
			}
			if field.Elem().Kind() == reflect.Struct {
				fillOptions(field.Elem())
			}

		case kind == reflect.Bool:
			field.SetBool(true)

		case kind == reflect.String:
			field.SetString(" a = \"b\" ,# ; c")

		case kind == reflect.Slice:
			field.Set(reflect.ValueOf([]string{"x y", "z"}))

		case field.Type() == reflect.TypeFor[time.Duration]():
			field.SetInt(int64(90 * time.Minute))

		case field.CanInt():
			field.SetInt(78)

		case field.CanUint():
			field.SetUint(77)

		case field.CanFloat():
			field.SetFloat(0.375)
		}
	}
}

// parseUpstream reads a command line as upstream does.
func parseUpstream(t *testing.T, cfg *upstream.Config, args []string) {
	t.Helper()

	parser := flags.NewParser(cfg, flags.None)
	parser.SubcommandsOptional = true
	rest, err := parser.ParseArgs(args)
	require.NoError(t, err)
	require.Empty(t, rest)
}
