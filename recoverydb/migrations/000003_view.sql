-- What lnd's wallet cannot see (package lndview). Hashes are in internal byte
-- order, amounts in satoshis, times in unix seconds.

-- The scripts whose import was begun.
CREATE TABLE view_scripts (
    pk_script  BLOB    PRIMARY KEY,

    -- Whether an import was begun that has no outcome yet, and whether the
    -- wallet did not know the script before our import.
    pending    INTEGER NOT NULL CHECK (pending IN (0, 1)),
    blind      INTEGER NOT NULL CHECK (blind IN (0, 1)),

    -- The run whose scan was published last, '' for none, and where that
    -- scan began.
    run        TEXT    NOT NULL,
    birthday   INTEGER NOT NULL
) STRICT;

-- The outputs of covered scripts, as of the last block of the trail.
CREATE TABLE view_outputs (
    tx_id              BLOB    NOT NULL,
    output_index       INTEGER NOT NULL,
    key_family         INTEGER NOT NULL,
    key_index          INTEGER NOT NULL,
    pk_script          BLOB    NOT NULL,
    value              INTEGER NOT NULL,
    block_height       INTEGER NOT NULL,
    block_hash         BLOB    NOT NULL,
    block_time         INTEGER NOT NULL,
    funding_tx         BLOB    NOT NULL,

    -- The spend in a block; all NULL while there is none.
    spend_tx_id        BLOB,
    spend_input        INTEGER,
    spend_block_height INTEGER,
    spend_block_hash   BLOB,
    spend_block_time   INTEGER,
    spending_tx        BLOB,

    PRIMARY KEY (tx_id, output_index),
    CHECK ((spend_tx_id IS NULL) = (spend_input IS NULL)),
    CHECK ((spend_tx_id IS NULL) = (spend_block_height IS NULL)),
    CHECK ((spend_tx_id IS NULL) = (spend_block_hash IS NULL)),
    CHECK ((spend_tx_id IS NULL) = (spend_block_time IS NULL)),
    CHECK ((spend_tx_id IS NULL) = (spending_tx IS NULL))
) STRICT;

-- The last followed blocks, without a gap. The highest one is the cursor.
CREATE TABLE view_trail (
    height  INTEGER PRIMARY KEY,
    hash    BLOB    NOT NULL
) STRICT;

-- Our own spends that lnd accepted and that are waited for. The height is that
-- of the tip when a publication was first taken into account, 0 before.
CREATE TABLE view_publications (
    tx_id   BLOB    PRIMARY KEY,
    raw_tx  BLOB    NOT NULL,
    height  INTEGER NOT NULL,
    listed  INTEGER NOT NULL CHECK (listed IN (0, 1))
) STRICT;
