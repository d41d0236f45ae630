-- 0008_checkpoint: signed statements of what a log was at some size.
--
-- Locks: none on anything that exists.  Takes milliseconds.
-- Reversible: yes; with checkpoints in it it asks for their number.
-- Downtime: none.  Superuser: no.
-- Program: any version; tandemd writes checkpoints from this step on.
-- Size: some 500 bytes for each minute in which entries arrive.

\set ON_ERROR_STOP on
\if :{?sha256_0008}
\else
\ir ../hashes.psql
\endif

BEGIN;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE tandem_owner;

DO $guard$
DECLARE
    newest integer := 0;
BEGIN
    IF to_regclass('tandem.schema_version') IS NOT NULL THEN
        SELECT coalesce(max(version), 0) INTO newest
        FROM tandem.schema_version;
    END IF;
    IF newest >= 8 THEN
        RAISE EXCEPTION 'tandem: step 0008_checkpoint is already in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest < 7 THEN
        RAISE EXCEPTION 'tandem: step 0008_checkpoint needs step 0007_scribe first '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

CREATE TABLE tandem.checkpoint (
    log_id uuid NOT NULL,
    size bigint NOT NULL CONSTRAINT checkpoint_size CHECK (size >= 1),
    root bytea NOT NULL
        CONSTRAINT checkpoint_root CHECK (octet_length(root) = 32),
    note text NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT checkpoint_pkey PRIMARY KEY (log_id, recorded_at)
);

COMMENT ON TABLE tandem.checkpoint IS
    'What a log was at some size: its Merkle root, and a signed note that says so';
COMMENT ON COLUMN tandem.checkpoint.note IS
    'The text that was signed, and the signatures';

DO $protect$
BEGIN
    PERFORM tandem.protect('tandem.checkpoint');
END
$protect$;

INSERT INTO tandem.schema_version (version, step, file_sha256)
VALUES (8, '0008_checkpoint', :'sha256_0008');

COMMIT;
