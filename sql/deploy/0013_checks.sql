-- 0013_checks: the checks of 0012_plain hold for every row, those they replace go.
--
-- Locks: SHARE UPDATE EXCLUSIVE on entry and content while every row is read, a
--   minute for some GB; reading and writing go on.  Then ACCESS EXCLUSIVE on both
--   and their partitions for milliseconds.
-- When: not while tandemctl verify reads a long history, or a dump, which are in the
--   way of the second lock: after 2 s the step fails, and has read all for nothing.
--   Nor while the daily ensure_partitions() is due, which takes the first lock, too:
--   whichever comes second fails after 2 s.  Either can be run again.
-- Reversible: yes, by reading every row again.  Downtime: none.  Superuser: no.
-- Program: any version; none notices.  Size: none.

\set ON_ERROR_STOP on
\if :{?sha256_0013}
\else
\ir ../hashes.psql
\endif

BEGIN;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '2h';
SET LOCAL ROLE tandem_owner;

DO $guard$
DECLARE
    newest integer := 0;
BEGIN
    IF to_regclass('tandem.schema_version') IS NOT NULL THEN
        SELECT coalesce(max(version), 0) INTO newest
        FROM tandem.schema_version;
    END IF;
    IF newest >= 13 THEN
        RAISE EXCEPTION 'tandem: step 0013_checks is already in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest < 12 THEN
        RAISE EXCEPTION 'tandem: step 0013_checks needs step 0012_plain first '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

ALTER TABLE tandem.entry VALIDATE CONSTRAINT entry_is_entry;
ALTER TABLE tandem.content VALIDATE CONSTRAINT content_is_content;

ALTER TABLE tandem.entry DROP CONSTRAINT entry_idx,
    DROP CONSTRAINT entry_kind, DROP CONSTRAINT entry_leaf_hash,
    DROP CONSTRAINT entry_of_a_run, DROP CONSTRAINT entry_started_at,
    DROP CONSTRAINT entry_finished, DROP CONSTRAINT entry_left;
ALTER TABLE tandem.content DROP CONSTRAINT content_part,
    DROP CONSTRAINT content_salt;

INSERT INTO tandem.schema_version (version, step, file_sha256)
VALUES (13, '0013_checks', :'sha256_0013');

COMMIT;
