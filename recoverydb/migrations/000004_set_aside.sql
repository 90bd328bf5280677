-- Journals before this one that were damaged and set aside.
CREATE TABLE set_asides (
    -- The directory that holds the damaged files.
    path     TEXT    PRIMARY KEY,

    -- Unix nanoseconds.
    time     INTEGER NOT NULL,

    -- What was wrong (recoverydb.Damage), and what was salvaged
    -- ([]recoverydb.TableReport as JSON).
    damage   TEXT    NOT NULL,
    tables   BLOB    NOT NULL,

    -- Whether the scripts that lnd's wallet may be blind for have been named
    -- in view_scripts since. Until then it counts as blind for every script.
    settled  INTEGER NOT NULL CHECK (settled IN (0, 1))
) STRICT;
