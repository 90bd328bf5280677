-- The journal of runs (package recoveryfsm).

-- One row a run. Times are unix nanoseconds, 0 for none.
CREATE TABLE runs (
    id            TEXT    PRIMARY KEY,
    kind          TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    state         TEXT    NOT NULL,
    blocked_from  TEXT    NOT NULL,
    reason        TEXT    NOT NULL,
    detail        TEXT    NOT NULL,

    -- Failed attempts at the current state, and why the last one failed.
    attempt       INTEGER NOT NULL,
    last_error    TEXT    NOT NULL,
    next_retry    INTEGER NOT NULL,

    -- Whether an intent was saved whose end is not known.
    acting        INTEGER NOT NULL,

    -- Deaths of the process in the current state, and how far the scan had
    -- come at the last one.
    crashes       INTEGER NOT NULL,
    crash_pass    INTEGER NOT NULL,
    crash_height  INTEGER NOT NULL,

    created       INTEGER NOT NULL,
    updated       INTEGER NOT NULL,
    last_seq      INTEGER NOT NULL,
    finished      INTEGER NOT NULL,

    -- actions.Facts as JSON. Nothing secret.
    facts         BLOB    NOT NULL,

    -- recoveryfsm.Progress as JSON, NULL until a scan has begun.
    progress      BLOB
) STRICT;

-- There is never more than one unfinished run.
CREATE UNIQUE INDEX runs_unfinished ON runs (finished) WHERE finished = 0;

CREATE INDEX runs_created ON runs (created, id);

-- Every transition, numbered from 1 in each run.
CREATE TABLE events (
    run_id      TEXT    NOT NULL REFERENCES runs (id),
    seq         INTEGER NOT NULL,
    time        INTEGER NOT NULL,
    from_state  TEXT    NOT NULL,
    event       TEXT    NOT NULL,
    to_state    TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    detail      TEXT    NOT NULL,
    PRIMARY KEY (run_id, seq)
) STRICT, WITHOUT ROWID;
