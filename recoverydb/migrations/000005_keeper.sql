-- What the keeper of the backups remembers (package keeper). Nothing secret.

-- The proofs that a token and an address belong together, the strongest one
-- each. Times are unix nanoseconds.
CREATE TABLE keeper_pairs (
    token_id    BLOB    NOT NULL CHECK (length(token_id) = 32),
    client_key  BLOB    NOT NULL CHECK (length(client_key) = 33),
    proof       TEXT    NOT NULL,
    time        INTEGER NOT NULL,
    PRIMARY KEY (token_id, client_key)
) STRICT, WITHOUT ROWID;

-- Where the file system of each backup place was mounted when it was last seen.
CREATE TABLE keeper_mounts (
    place  TEXT  PRIMARY KEY,
    root   TEXT  NOT NULL
) STRICT, WITHOUT ROWID;
