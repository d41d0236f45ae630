-- 0004_partitions: a partition for each month, made ahead of time.
--
-- Locks: SHARE UPDATE EXCLUSIVE on entry and content: readers and writers go
--   on.  Takes milliseconds.
-- Reversible: yes; the partitions stay, with what is in them.
-- Downtime: none.  Superuser: no.
-- Program: any version; none uses this schema yet.
-- Size: 32 kB for an empty month of entry, 16 kB of content.
--
-- There is no DEFAULT partition: an entry outside the calendar is refused with
-- 23514 and nothing of its transaction stays.  Bounds are in UTC.

\set ON_ERROR_STOP on
\if :{?sha256_0004}
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
    IF newest >= 4 THEN
        RAISE EXCEPTION 'tandem: step 0004_partitions is already in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest < 3 THEN
        RAISE EXCEPTION 'tandem: step 0004_partitions needs step 0003_insert_only first '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

-- entry_2031_07 -> 2031-07-01; null for other names.
CREATE FUNCTION tandem.partition_month(partition_name text) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $body$
SELECT make_date(part[1]::integer, part[2]::integer, 1)
FROM regexp_match(partition_name,
    '^(?:entry|content)_([0-9]{4})_(0[1-9]|1[0-2])$') AS part
$body$;

-- False when the partition is there already.
CREATE FUNCTION tandem.make_partition(parent_name text, month date)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s'
SET timezone = 'UTC' SET datestyle = 'ISO'
AS $body$
DECLARE
    begins timestamptz := date_trunc('month', month);
    partition_name text := parent_name || to_char(begins, '_YYYY_MM');
    parent regclass;
BEGIN
    IF parent_name NOT IN ('entry', 'content') THEN
        RAISE EXCEPTION 'tandem: % is not a partitioned table of the ledger',
            parent_name
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    parent := format('tandem.%I', parent_name)::regclass;

    -- Two at the same time make one: the second waits here.
    EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', parent);
    IF EXISTS (SELECT FROM pg_inherits
               WHERE inhparent = parent
                   AND inhrelid = to_regclass(
                       format('tandem.%I', partition_name))) THEN
        RETURN false;
    END IF;

    EXECUTE format('CREATE TABLE tandem.%I (LIKE %s INCLUDING ALL)',
                   partition_name, parent);
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION tandem.%I '
                   'FOR VALUES FROM (%L) TO (%L)', parent, partition_name,
                   begins, begins + interval '1 month');
    PERFORM tandem.protect(format('tandem.%I', partition_name)::regclass);
    RETURN true;
END
$body$;

-- Makes what is missing from last month to months_ahead, and says how many.
-- Last month too: a spool may hold entries from before the first deployment.
CREATE FUNCTION tandem.ensure_partitions(months_ahead integer DEFAULT 3)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s'
SET timezone = 'UTC'
AS $body$
DECLARE
    made integer := 0;
    parent_name text;
    distance integer;
BEGIN
    IF months_ahead IS NULL OR months_ahead NOT BETWEEN 1 AND 24 THEN
        RAISE EXCEPTION 'tandem: months_ahead must be from 1 to 24, not %',
            months_ahead
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOREACH parent_name IN ARRAY ARRAY['entry', 'content'] LOOP
        FOR distance IN -1 .. months_ahead LOOP
            IF tandem.make_partition(
                   parent_name,
                   (date_trunc('month', now())
                    + make_interval(months => distance))::date) THEN
                made := made + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END
$body$;

REVOKE ALL ON FUNCTION tandem.partition_month(text),
    tandem.make_partition(text, date), tandem.ensure_partitions(integer)
    FROM PUBLIC;

CREATE VIEW tandem.partition_calendar AS
SELECT parent.relname AS parent_name,
       part.relname AS partition_name,
       tandem.partition_month(part.relname)::timestamp
           AT TIME ZONE 'UTC' AS begins_at,
       (tandem.partition_month(part.relname) + interval '1 month')
           AT TIME ZONE 'UTC' AS ends_at,
       (SELECT count(*) = 2 FROM pg_trigger
        WHERE tgrelid = part.oid AND tgenabled = 'A'
            AND tgname IN ('insert_only', 'no_truncate')) AS is_protected,
       greatest(part.reltuples, 0)::bigint AS about_rows,
       pg_total_relation_size(part.oid) AS total_bytes
FROM pg_inherits
JOIN pg_class AS part ON part.oid = inhrelid
JOIN pg_class AS parent ON parent.oid = inhparent
WHERE parent.relkind = 'p'
    AND parent.relnamespace = 'tandem'::regnamespace
ORDER BY parent.relname, part.relname;

COMMENT ON VIEW tandem.partition_calendar IS
    'The months there are; alert when max(ends_at) is less than 30 days away';

DO $first$
BEGIN
    PERFORM tandem.ensure_partitions();
END
$first$;

INSERT INTO tandem.schema_version (version, step, file_sha256)
VALUES (4, '0004_partitions', :'sha256_0004');

COMMIT;
