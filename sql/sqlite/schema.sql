-- The embedded ledger, schema version 2.
--
-- Created by the scribe on its first start and never changed by anybody:
-- entry and checkpoint take inserts only, content takes inserts and deletes
-- (erasure); open_run says nothing that entry does not say.
-- docs/LEDGER.md says what each column holds and how the hashes are computed.
-- body stands last, so that a scan of the columns before it stays short.

CREATE TABLE entry (
    log_id TEXT NOT NULL,
    idx INTEGER NOT NULL CHECK (idx >= 0),
    recorded_at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    run_id TEXT,
    status TEXT,
    salvage TEXT,
    started_at INTEGER,
    total_ms INTEGER,
    flash_latency_ms INTEGER,
    pro_latency_ms INTEGER,
    flash_model TEXT,
    pro_model TEXT,
    flash_input_tokens INTEGER,
    flash_output_tokens INTEGER,
    pro_input_tokens INTEGER,
    pro_output_tokens INTEGER,
    principal TEXT,
    user_id TEXT,
    leaf_hash BLOB NOT NULL CHECK (length(leaf_hash) = 32),
    body TEXT NOT NULL,
    PRIMARY KEY (log_id, idx)
) STRICT;

CREATE TABLE content (
    run_id TEXT NOT NULL,
    part TEXT NOT NULL,
    salt BLOB NOT NULL CHECK (length(salt) = 32),
    body TEXT NOT NULL,
    PRIMARY KEY (run_id, part)
) STRICT;

-- The runs without an end, so that a scribe that starts need not look for them
-- in the whole ledger.  The triggers below keep it; verification compares.
CREATE TABLE open_run (
    run_id TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Signed statements of what a log was at some size.
CREATE TABLE checkpoint (
    log_id TEXT NOT NULL,
    size INTEGER NOT NULL CHECK (size >= 1),
    recorded_at INTEGER NOT NULL,
    root BLOB NOT NULL CHECK (length(root) = 32),
    note TEXT NOT NULL,
    PRIMARY KEY (log_id, recorded_at)
) STRICT;

-- A run begins at most once and ends at most once.
CREATE UNIQUE INDEX entry_accepted ON entry (run_id)
    WHERE kind = 'accepted';
CREATE UNIQUE INDEX entry_ended ON entry (run_id)
    WHERE kind IN ('finished', 'orphaned');

-- A client is said to have left a run at most once.
CREATE UNIQUE INDEX entry_left ON entry (run_id)
    WHERE kind = 'left';

-- A change of the service is told at most once.
CREATE UNIQUE INDEX entry_admin ON entry (run_id)
    WHERE kind = 'admin';

-- The runs that have an idempotency key.  Not unique: a key may be used again
-- when its time is over, and the one writer looks before it writes.  Schemas
-- that are not trusted may not call json_extract(); canonical JSON has this text
-- in one place only.
CREATE INDEX entry_key ON entry (
    substr(body, instr(body, '"idempotency_key":"') + 19, 64), recorded_at)
    WHERE kind = 'accepted' AND instr(body, '"idempotency_key":"') > 0;

-- Pages of runs, newest first.
CREATE INDEX entry_newest ON entry (started_at DESC, run_id DESC)
    WHERE kind = 'accepted';

CREATE TRIGGER entry_no_update BEFORE UPDATE ON entry
BEGIN
    SELECT raise(ABORT, 'ledger entries are never changed');
END;

CREATE TRIGGER entry_no_delete BEFORE DELETE ON entry
BEGIN
    SELECT raise(ABORT, 'ledger entries are never deleted');
END;

CREATE TRIGGER content_no_update BEFORE UPDATE ON content
BEGIN
    SELECT raise(ABORT, 'ledger content is never changed');
END;

CREATE TRIGGER checkpoint_no_update BEFORE UPDATE ON checkpoint
BEGIN
    SELECT raise(ABORT, 'checkpoints are never changed');
END;

CREATE TRIGGER checkpoint_no_delete BEFORE DELETE ON checkpoint
BEGIN
    SELECT raise(ABORT, 'checkpoints are never deleted');
END;

-- INSERT OR REPLACE deletes what is in its way without asking the triggers
-- above.
CREATE TRIGGER entry_no_replace BEFORE INSERT ON entry
WHEN EXISTS (SELECT 1 FROM entry
             WHERE log_id = new.log_id AND idx = new.idx)
    OR (new.kind = 'accepted'
        AND EXISTS (SELECT 1 FROM entry
                    WHERE run_id = new.run_id AND kind = 'accepted'))
    OR (new.kind IN ('finished', 'orphaned')
        AND EXISTS (SELECT 1 FROM entry
                    WHERE run_id = new.run_id
                        AND kind IN ('finished', 'orphaned')))
    OR (new.kind = 'left'
        AND EXISTS (SELECT 1 FROM entry
                    WHERE run_id = new.run_id AND kind = 'left'))
    OR (new.kind = 'admin'
        AND EXISTS (SELECT 1 FROM entry
                    WHERE run_id = new.run_id AND kind = 'admin'))
BEGIN
    SELECT raise(ABORT, 'the ledger has this entry already');
END;

CREATE TRIGGER checkpoint_no_replace BEFORE INSERT ON checkpoint
WHEN EXISTS (SELECT 1 FROM checkpoint
             WHERE log_id = new.log_id AND recorded_at = new.recorded_at)
BEGIN
    SELECT raise(ABORT, 'the ledger has this checkpoint already');
END;

CREATE TRIGGER content_no_replace BEFORE INSERT ON content
WHEN EXISTS (SELECT 1 FROM content
             WHERE run_id = new.run_id AND part = new.part)
BEGIN
    SELECT raise(ABORT, 'the ledger has this content already');
END;

CREATE TRIGGER entry_begins_run AFTER INSERT ON entry
WHEN new.kind = 'accepted'
BEGIN
    INSERT INTO open_run (run_id) VALUES (new.run_id);
END;

CREATE TRIGGER entry_ends_run AFTER INSERT ON entry
WHEN new.kind IN ('finished', 'orphaned')
BEGIN
    DELETE FROM open_run WHERE run_id = new.run_id;
END;

CREATE VIEW experiment_runs AS
SELECT accepted.run_id AS id,
       query.body AS query,
       context.body AS context,
       flash.body AS flash_response,
       pro.body AS pro_response,
       ended.flash_latency_ms AS flash_latency_ms,
       ended.pro_latency_ms AS pro_latency_ms,
       strftime('%Y-%m-%dT%H:%M:%S', accepted.started_at / 1000000,
                'unixepoch')
           || printf('.%06dZ', accepted.started_at % 1000000) AS created_at,
       accepted.user_id AS user_id,
       coalesce(gone.status, ended.status, 'open') AS status
FROM entry AS accepted
LEFT JOIN entry AS ended
    ON ended.run_id = accepted.run_id
    AND ended.kind IN ('finished', 'orphaned')
LEFT JOIN entry AS gone
    ON gone.run_id = accepted.run_id AND gone.kind = 'left'
LEFT JOIN content AS query
    ON query.run_id = accepted.run_id AND query.part = 'query'
LEFT JOIN content AS context
    ON context.run_id = accepted.run_id AND context.part = 'context'
LEFT JOIN content AS flash
    ON flash.run_id = accepted.run_id AND flash.part = 'flash'
LEFT JOIN content AS pro
    ON pro.run_id = accepted.run_id AND pro.part = 'pro'
WHERE accepted.kind = 'accepted'
ORDER BY accepted.started_at DESC, accepted.run_id DESC;

PRAGMA user_version = 2;
