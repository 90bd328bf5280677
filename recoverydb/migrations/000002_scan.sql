-- The progress of chain scans (package chainscan) and what they found.

-- One row a scan, which belongs to one run. The cursor is chainscan.Cursor as
-- JSON: its shape can change without a migration.
CREATE TABLE scans (
    run_id  TEXT  PRIMARY KEY,
    cursor  BLOB  NOT NULL
) STRICT;

-- The transactions that outputs and spends lie in, once each: one transaction
-- can pay many of the user's addresses. Hashes are in internal byte order, here
-- and below.
CREATE TABLE scan_transactions (
    run_id  TEXT  NOT NULL REFERENCES scans (run_id) ON DELETE CASCADE,
    txid    BLOB  NOT NULL,
    tx      BLOB  NOT NULL,
    PRIMARY KEY (run_id, txid)
) STRICT, WITHOUT ROWID;

-- The outputs found, with their confirmed spends.
CREATE TABLE scan_outputs (
    run_id        TEXT     NOT NULL REFERENCES scans (run_id) ON DELETE CASCADE,
    txid          BLOB     NOT NULL,
    output_index  INTEGER  NOT NULL,

    -- Where the client key of the script lies in lnd's key tree.
    family        INTEGER  NOT NULL,
    key_index     INTEGER  NOT NULL,
    pk_script     BLOB     NOT NULL,

    -- In satoshis.
    value         INTEGER  NOT NULL,

    -- Times are unix seconds, from the header.
    height        INTEGER  NOT NULL,
    block_hash    BLOB     NOT NULL,
    block_time    INTEGER  NOT NULL,

    -- All NULL for an output that is not spent.
    spend_txid    BLOB,
    spend_input   INTEGER,
    spend_height  INTEGER,
    spend_hash    BLOB,
    spend_time    INTEGER,

    PRIMARY KEY (run_id, txid, output_index)
) STRICT, WITHOUT ROWID;

CREATE INDEX scan_outputs_height ON scan_outputs (run_id, height);
