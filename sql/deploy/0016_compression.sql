-- 0016_compression: long texts are compressed by LZ4, where the server has it.
--
-- Locks: ACCESS EXCLUSIVE on entry, content and their partitions.  Takes
--   milliseconds.
-- Reversible: yes; nothing is lost.  Downtime: none.  Superuser: no.
-- Program: any version; none notices.
-- Size: what is there stays as it is; new texts may take some per cent more.
--
-- A row of more than 2 kB, as most that end a run are, is compressed; pglz, which
-- servers use by themselves, was 4 to 5 % of the time a server spends on a batch.
--
-- A server that was built without LZ4 is told so and keeps what it has.  A dump of a
-- ledger with it needs such a server, or pg_dump --no-toast-compression.

\set ON_ERROR_STOP on
\if :{?sha256_0016}
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
    IF newest >= 16 THEN
        RAISE EXCEPTION 'tandem: step 0016_compression is already in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest < 15 THEN
        RAISE EXCEPTION 'tandem: step 0016_compression needs step 0015_settings first '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

-- The two tables come before their partitions, which future ones are made like.
DO $compress$
DECLARE
    relation regclass;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_settings
                   WHERE name = 'default_toast_compression'
                       AND 'lz4' = ANY (enumvals)) THEN
        RAISE NOTICE 'tandem: this server has no LZ4: texts are compressed as '
            'before';
        RETURN;
    END IF;
    FOR relation IN
        SELECT tree.relid
        FROM unnest(ARRAY['tandem.entry', 'tandem.content']) AS root,
            pg_partition_tree(root::regclass) AS tree
        ORDER BY tree.level
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN body SET COMPRESSION lz4',
                       relation);
    END LOOP;
END
$compress$;

INSERT INTO tandem.schema_version (version, step, file_sha256)
VALUES (16, '0016_compression', :'sha256_0016');

COMMIT;
