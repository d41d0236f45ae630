-- The roles of the ledger.  Run once, before the first step, by somebody with
-- CREATEROLE; or hand it to whoever makes roles in your house.
--
--     psql -X -v ON_ERROR_STOP=1 [-v deployer=LOGIN] -f roles.sql
--
-- deployer is the login that will run the steps; without it, whoever runs this.
-- None of the roles can log in and none has a password: they are bundles of
-- rights.  README.md says which logins to make and what to grant them.
-- Locks: none that anybody notices.  Takes milliseconds.  May be run again.
-- Superuser needed: no.  To undo: see README.md, "Going back".

\set ON_ERROR_STOP on
\if :{?deployer}
\else
SELECT current_user AS deployer \gset
\endif

BEGIN;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';

DO $roles$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY[
        'tandem_owner', 'tandem_writer', 'tandem_reader', 'tandem_auditor',
        'tandem_retention', 'tandem_monitor', 'tandem_eraser']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB '
                           'NOCREATEROLE NOREPLICATION NOBYPASSRLS', wanted);
        END IF;
    END LOOP;
END
$roles$;

GRANT tandem_owner TO :"deployer";

COMMENT ON ROLE tandem_owner IS 'Owns the schema tandem; only for migrations';
COMMENT ON ROLE tandem_writer IS 'Adds ledger entries and content; reads neither';
COMMENT ON ROLE tandem_reader IS 'Reads entries and runs, but no texts';
COMMENT ON ROLE tandem_auditor IS 'Reads everything, records verifications, places holds';
COMMENT ON ROLE tandem_retention IS 'Makes partitions and retires old ones';
COMMENT ON ROLE tandem_monitor IS 'Reads the version and the partition calendar';
COMMENT ON ROLE tandem_eraser IS 'Deletes content that is not on hold; nobody is a member yet';

COMMIT;
