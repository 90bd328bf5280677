package swapdb

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// inspectServer looks at a PostgreSQL database, through a connection that is
// closed again.
func inspectServer(ctx context.Context, cfg Config) (schema, error) {
	found, err := readServer(ctx, cfg)
	if err != nil {
		return schema{}, transient(cfg.name(), TroubleServer, err)
	}

	return found, nil
}

// readServer reads the version that the migrations left.
func readServer(ctx context.Context, cfg Config) (schema, error) {
	config, err := pgx.ParseConfig(cfg.Postgres.DSN(false))
	if err != nil {
		return schema{}, err
	}
	// Prepared statements would only be in the way of poolers.
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	config.RuntimeParams["application_name"] = "loopd check"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return schema{}, err
	}
	// Past the end of the context the connection is cut.
	defer conn.Close(ctx)

	found := schema{exists: true}
	var migrated bool
	err = conn.QueryRow(
		ctx, "SELECT to_regclass($1) IS NOT NULL, "+
			"to_regclass($2) IS NOT NULL", migrationsTable,
		firstTable,
	).Scan(&migrated, &found.used)
	if err != nil || !migrated {
		return found, err
	}

	err = conn.QueryRow(ctx, "SELECT version, dirty "+
		"FROM schema_migrations LIMIT 1").
		Scan(&found.version, &found.dirty)
	if errors.Is(err, pgx.ErrNoRows) {
		return found, nil
	}

	return found, err
}
