-- 0005_retirement: taking an old month out of the ledger.
--
-- Locks: none on anything that exists.  Takes milliseconds.
-- Reversible: yes; nothing is lost.  Downtime: none.  Superuser: no.
-- Program: any version; none uses this schema yet.  Size: none.
--
-- What retire_partition() itself locks stands in README.md.

\set ON_ERROR_STOP on
\if :{?sha256_0005}
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
    IF newest >= 5 THEN
        RAISE EXCEPTION 'tandem: step 0005_retirement is already in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest < 4 THEN
        RAISE EXCEPTION 'tandem: step 0005_retirement needs step 0004_partitions first '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

-- Why the partition may not be retired: no row when it may.
CREATE FUNCTION tandem.retirement_obstacles(partition_name text)
RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $body$
DECLARE
    part tandem.partition_calendar;
    checked tandem.verification;
    on_hold boolean;
    row_count bigint;
BEGIN
    SELECT * INTO part FROM tandem.partition_calendar AS calendar
    WHERE calendar.partition_name = $1;
    IF NOT FOUND THEN
        RETURN NEXT format('%s is not a partition of the ledger', $1);
        RETURN;
    END IF;

    IF part.ends_at + interval '6 months' > now() THEN
        RETURN NEXT format('it ended at %s, which is less than 6 months ago',
                           part.ends_at);
    END IF;

    EXECUTE format(
        'SELECT EXISTS (SELECT FROM tandem.active_hold AS hold '
        'WHERE hold.covers_from < $1 AND hold.covers_until > $2 '
        'AND (hold.run_id IS NULL OR EXISTS (SELECT FROM tandem.%I AS held '
        'WHERE held.run_id = hold.run_id)))', part.partition_name)
    INTO on_hold USING part.ends_at, part.begins_at;
    IF on_hold THEN
        RETURN NEXT 'it is on legal hold (see tandem.active_hold)';
    END IF;

    SELECT * INTO checked FROM tandem.verification AS verification
    WHERE verification.partition_name = part.partition_name
    ORDER BY verification_id DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN NEXT 'it was never verified';
    ELSIF checked.finding_count > 0 THEN
        RETURN NEXT format('its newest verification has %s findings',
                           checked.finding_count);
    ELSE
        EXECUTE format('SELECT count(*) FROM tandem.%I', part.partition_name)
        INTO row_count;
        IF row_count <> checked.row_count THEN
            RETURN NEXT format('it has %s rows, but %s were verified',
                               row_count, checked.row_count);
        END IF;
    END IF;

    IF part.parent_name = 'entry'
       AND EXISTS (SELECT FROM tandem.partition_calendar AS calendar
                   WHERE calendar.parent_name = 'content'
                       AND calendar.begins_at = part.begins_at) THEN
        RETURN NEXT 'the content of its month is still in the ledger';
    END IF;
END
$body$;

-- Detaches the partition and says how many rows it has.  It stays as a table
-- of its own, insert-only and without grants, to be exported and then dropped
-- by somebody else.
CREATE FUNCTION tandem.retire_partition(partition_name text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s'
AS $body$
DECLARE
    retired tandem.retired_partition;
    obstacles text;
BEGIN
    SELECT calendar.partition_name, calendar.parent_name
    INTO retired.partition_name, retired.parent_name
    FROM tandem.partition_calendar AS calendar
    WHERE calendar.partition_name = $1;
    -- From here on no late entry can join what is being counted.
    IF FOUND THEN
        EXECUTE format('LOCK TABLE tandem.%I IN SHARE MODE',
                       retired.partition_name);
        LOCK TABLE tandem.legal_hold IN SHARE MODE;
    END IF;

    SELECT string_agg(obstacle, '; ') INTO obstacles
    FROM tandem.retirement_obstacles($1) AS obstacle;
    IF obstacles IS NOT NULL THEN
        RAISE EXCEPTION 'tandem: % cannot be retired: %', $1, obstacles
            USING ERRCODE = 'TD003';
    END IF;

    INSERT INTO tandem.retired_partition
        (partition_name, parent_name, row_count, verification_id)
    SELECT retired.partition_name, retired.parent_name, checked.row_count,
           checked.verification_id
    FROM tandem.verification AS checked
    WHERE checked.partition_name = retired.partition_name
    ORDER BY verification_id DESC LIMIT 1
    RETURNING row_count INTO retired.row_count;

    EXECUTE format('ALTER TABLE tandem.%I DETACH PARTITION tandem.%I',
                   retired.parent_name, retired.partition_name);
    PERFORM tandem.protect(
        format('tandem.%I', retired.partition_name)::regclass);
    RETURN retired.row_count;
END
$body$;

REVOKE ALL ON FUNCTION tandem.retirement_obstacles(text),
    tandem.retire_partition(text) FROM PUBLIC;

INSERT INTO tandem.schema_version (version, step, file_sha256)
VALUES (5, '0005_retirement', :'sha256_0005');

COMMIT;
