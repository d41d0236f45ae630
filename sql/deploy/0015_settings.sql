-- 0015_settings: what a batch needs set for its transaction, by one call.
--
-- Locks: none on anything that exists.  Takes milliseconds.
-- Reversible: yes; nothing is lost.  Downtime: none.  Superuser: no.
-- Program: any version; from this step on tandemd makes settings by this function.
-- Size: none.
--
-- Behind a pooler a session's settings are anybody's, so each transaction makes its
-- own.  A statement for each setting cost a batch of a few entries a tenth of its
-- time.

\set ON_ERROR_STOP on
\if :{?sha256_0015}
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
    IF newest >= 15 THEN
        RAISE EXCEPTION 'tandem: step 0015_settings is already in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest < 14 THEN
        RAISE EXCEPTION 'tandem: step 0015_settings needs step 0014_late first '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

-- Names in full, so that no search_path matters: to set one here would cost as much
-- as all of these.  The keepalives are for the locks of a scribe whose host has gone.
CREATE FUNCTION tandem.scribe_settings(lock_ms bigint)
RETURNS void
LANGUAGE plpgsql
AS $body$
DECLARE
    setting text;
BEGIN
    setting := pg_catalog.set_config('lock_timeout', lock_ms::text, true);
    setting := pg_catalog.set_config('synchronous_commit', 'on', true);
    setting := pg_catalog.set_config('tcp_keepalives_idle', '5', true);
    setting := pg_catalog.set_config('tcp_keepalives_interval', '2', true);
    setting := pg_catalog.set_config('tcp_keepalives_count', '3', true);
END
$body$;

REVOKE ALL ON FUNCTION tandem.scribe_settings(bigint) FROM PUBLIC;

-- A program that is running does not wait for grants.sql.
GRANT EXECUTE ON FUNCTION tandem.scribe_settings(bigint) TO tandem_writer;

INSERT INTO tandem.schema_version (version, step, file_sha256)
VALUES (15, '0015_settings', :'sha256_0015');

COMMIT;
