-- Fails unless 0004_partitions is in, every partition spans the month of its
-- name and is protected, and there is one for this month and the next.
-- Changes nothing.  Locks: ACCESS SHARE.  By a member of tandem_owner.

\set ON_ERROR_STOP on

BEGIN READ ONLY;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE tandem_owner;

SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO';

DO $verify$
DECLARE
    wrong text;
BEGIN
    WITH wanted (signature, secdef) AS (VALUES
        ('partition_month(text)', false),
        ('make_partition(text,date)', true),
        ('ensure_partitions(integer)', true))
    SELECT string_agg(signature, ', ') INTO wrong
    FROM wanted
    LEFT JOIN pg_proc ON pg_proc.oid = to_regprocedure('tandem.' || signature)
    WHERE pg_proc.oid IS NULL OR prosecdef <> secdef
        OR proowner <> 'tandem_owner'::regrole
        OR NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig),
                        false)
        OR has_function_privilege('public', pg_proc.oid, 'EXECUTE');
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'tandem: functions are missing or differ: %', wrong;
    END IF;

    SELECT string_agg(partition_name, ', ') INTO wrong
    FROM tandem.partition_calendar
    JOIN pg_class ON relname = partition_name
        AND relnamespace = 'tandem'::regnamespace
    WHERE begins_at IS NULL
        OR partition_name NOT LIKE parent_name || '\_%'
        OR pg_get_expr(relpartbound, pg_class.oid) IS DISTINCT FROM
           format('FOR VALUES FROM (%L) TO (%L)', begins_at, ends_at);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'tandem: partitions do not span their month: %', wrong;
    END IF;

    SELECT string_agg(partition_name, ', ') INTO wrong
    FROM tandem.partition_calendar WHERE NOT is_protected;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'tandem: partitions are not protected: %', wrong;
    END IF;

    SELECT string_agg(parent_name || ' at ' || moment, ', ') INTO wrong
    FROM unnest(ARRAY['entry', 'content']) AS parent_name,
         unnest(ARRAY[now(), now() + interval '1 month']) AS moment
    WHERE NOT EXISTS (SELECT FROM tandem.partition_calendar AS calendar
                      WHERE calendar.parent_name = parent_name.parent_name
                          AND moment >= begins_at AND moment < ends_at);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'tandem: there is no partition for %', wrong
            USING HINT = 'SELECT tandem.ensure_partitions();';
    END IF;
END
$verify$;

ROLLBACK;
