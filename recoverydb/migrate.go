package recoverydb

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// migrationFiles are the steps of the schema, one file a step, named
// NNNNNN_what.sql with the version that the step leads to. They only ever go
// forward.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is one step of the schema.
type migration struct {
	// version is the schema's version after the step.
	version int

	// name is the name of the file.
	name string

	// statements is the SQL text.
	statements string
}

// knownVersion returns the newest version of the schema that this binary knows.
func knownVersion(steps []migration) int {
	if len(steps) == 0 {
		return 0
	}

	return steps[len(steps)-1].version
}

// migrate brings the schema up to date. Each step and the number that says it
// was made are one transaction, so that a crash leaves either the old schema or
// the new one. (SQLite keeps that number, user_version, in the file's header.)
func migrate(ctx context.Context, writer *sql.DB) error {
	steps, err := migrations(migrationFiles)
	if err != nil {
		return err
	}

	return migrateTo(ctx, writer, steps)
}

// migrateTo makes those of the given steps that are missing.
func migrateTo(ctx context.Context, writer *sql.DB, steps []migration) error {
	return inTx(ctx, writer, nil, func(ctx context.Context,
		tx *sql.Tx) error {

		var found int
		err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(
			&found,
		)
		if err != nil {
			return err
		}

		return apply(ctx, tx, steps, found)
	})
}

// apply makes the steps that lead beyond the version found.
func apply(ctx context.Context, tx *sql.Tx, steps []migration,
	found int) error {

	for _, step := range steps {
		if step.version <= found {
			continue
		}

		_, err := tx.ExecContext(ctx, step.statements)
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}

		// A pragma takes no parameters.
		_, err = tx.ExecContext(ctx, fmt.Sprintf(
			"PRAGMA user_version = %d", step.version,
		))
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}

	return nil
}

// migrations reads the steps in their order.
func migrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil {
		return nil, err
	}

	steps := make([]migration, 0, len(names))
	for _, name := range names {
		base := strings.TrimPrefix(name, "migrations/")
		digits, _, _ := strings.Cut(base, "_")
		version, err := strconv.Atoi(digits)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", base, err)
		}

		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		steps = append(steps, migration{
			version:    version,
			name:       base,
			statements: string(text),
		})
	}
	slices.SortFunc(steps, func(a, b migration) int {
		return a.version - b.version
	})

	return steps, nil
}
