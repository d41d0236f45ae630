-- 0001_foundation: the schema tandem and the record of its steps.
--
-- Locks: none on anything that exists.  Takes milliseconds.
-- Reversible: yes (revert/0001_foundation.sql).  Downtime: none.
-- Needs: PostgreSQL 15 or newer, a database in UTF8, roles.sql, CREATE on the
--   database and membership in tandem_owner.  Superuser: no.
-- Program: any version; none uses this schema yet.  Size: 16 kB.

\set ON_ERROR_STOP on
\if :{?sha256_0001}
\else
\ir ../hashes.psql
\endif

BEGIN;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';

DO $guard$
BEGIN
    IF current_setting('server_version_num')::integer < 150000 THEN
        RAISE EXCEPTION 'tandem: PostgreSQL 15 or newer is needed, this is %',
            current_setting('server_version')
            USING ERRCODE = 'TD004';
    ELSIF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'tandem: the database must be in UTF8, this is %',
            current_setting('server_encoding')
            USING ERRCODE = 'TD004';
    ELSIF to_regclass('tandem.schema_version') IS NOT NULL THEN
        RAISE EXCEPTION 'tandem: step 0001_foundation is already in'
            USING ERRCODE = 'TD004';
    ELSIF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tandem_owner') THEN
        RAISE EXCEPTION 'tandem: the role tandem_owner is missing'
            USING ERRCODE = 'TD004', HINT = 'Run roles.sql first.';
    ELSIF NOT pg_has_role('tandem_owner', 'MEMBER') THEN
        RAISE EXCEPTION 'tandem: % is not a member of tandem_owner',
            current_user
            USING ERRCODE = 'TD004', HINT = 'GRANT tandem_owner TO the login '
                'that runs the steps; see roles.sql.';
    END IF;
END
$guard$;

CREATE SCHEMA tandem AUTHORIZATION tandem_owner;
SET LOCAL ROLE tandem_owner;

COMMENT ON SCHEMA tandem IS 'The ledger of Tandem: see sql/README.md';

-- What is in.  The program compares the highest version with the range it was
-- built for; it never changes the schema.
CREATE TABLE tandem.schema_version (
    version integer PRIMARY KEY CHECK (version > 0),
    step text NOT NULL UNIQUE,
    file_sha256 text NOT NULL CHECK (file_sha256 ~ '^[0-9a-f]{64}$'),
    deployed_at timestamptz NOT NULL DEFAULT now(),
    deployed_by name NOT NULL DEFAULT session_user
);

COMMENT ON TABLE tandem.schema_version IS
    'One row for each step that is in; file_sha256 as in sql/SHA256SUMS';

INSERT INTO tandem.schema_version (version, step, file_sha256)
VALUES (1, '0001_foundation', :'sha256_0001');

COMMIT;
