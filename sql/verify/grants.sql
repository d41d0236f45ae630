-- Fails unless everybody has the rights that grants.sql gives, and no others.
-- Changes nothing.  Locks: ACCESS SHARE.  By a member of tandem_owner.

\set ON_ERROR_STOP on

BEGIN READ ONLY;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE tandem_owner;

DO $verify$
DECLARE
    difference text;
BEGIN
    WITH wanted (grantee, privilege, object) AS (VALUES
        ('tandem_writer', 'USAGE', 'schema tandem'),
        ('tandem_writer', 'SELECT', 'schema_version'),
        ('tandem_writer', 'INSERT', 'entry'),
        ('tandem_writer', 'INSERT', 'content'),
        ('tandem_writer', 'INSERT', 'checkpoint'),
        ('tandem_writer', 'EXECUTE', 'scribe_find(uuid,text)'),
        ('tandem_writer', 'EXECUTE', 'scribe_body(uuid,text)'),
        ('tandem_writer', 'EXECUTE', 'scribe_last_log(text,uuid)'),
        ('tandem_writer', 'EXECUTE', 'scribe_leaves(uuid,bigint,integer)'),
        ('tandem_writer', 'EXECUTE', 'scribe_open_runs(text)'),
        ('tandem_writer', 'EXECUTE',
         'scribe_find_key(text,timestamp with time zone)'),
        ('tandem_writer', 'EXECUTE',
         'scribe_write(uuid[],bigint[],timestamp with time zone[],text[],uuid[],'
         'text[],text[],timestamp with time zone[],bigint[],bigint[],'
         'bigint[],text[],text[],bigint[],bigint[],bigint[],'
         'bigint[],text[],text[],bytea[],text[],uuid[],text[],'
         'timestamp with time zone[],bytea[],text[])'),
        ('tandem_writer', 'EXECUTE', 'is_entry(bigint,text,uuid,text,'
         'timestamp with time zone,bytea)'),
        ('tandem_writer', 'EXECUTE', 'is_content(text,bytea)'),
        ('tandem_writer', 'EXECUTE',
         'scribe_end_log(text,uuid,timestamp with time zone)'),
        ('tandem_writer', 'EXECUTE', 'scribe_absent(uuid[],bigint[],'
         'timestamp with time zone[],bytea[])'),
        ('tandem_writer', 'EXECUTE', 'scribe_settings(bigint)'),
        ('tandem_writer', 'SELECT', 'log_end.log_id'),
        ('tandem_writer', 'SELECT', 'log_end.ended_at'),

        ('tandem_reader', 'USAGE', 'schema tandem'),
        ('tandem_reader', 'SELECT', 'schema_version'),
        ('tandem_reader', 'SELECT', 'entry'),
        ('tandem_reader', 'SELECT', 'run_claim'),
        ('tandem_reader', 'SELECT', 'open_run'),
        ('tandem_reader', 'SELECT', 'verification'),
        ('tandem_reader', 'SELECT', 'retired_partition'),
        ('tandem_reader', 'SELECT', 'checkpoint'),
        ('tandem_reader', 'SELECT', 'partition_calendar'),
        ('tandem_reader', 'EXECUTE', 'partition_month(text)'),
        ('tandem_reader', 'SELECT', 'experiment_runs.id'),
        ('tandem_reader', 'SELECT', 'experiment_runs.flash_latency_ms'),
        ('tandem_reader', 'SELECT', 'experiment_runs.pro_latency_ms'),
        ('tandem_reader', 'SELECT', 'experiment_runs.created_at'),
        ('tandem_reader', 'SELECT', 'experiment_runs.user_id'),
        ('tandem_reader', 'SELECT', 'experiment_runs.status'),

        ('tandem_auditor', 'USAGE', 'schema tandem'),
        ('tandem_auditor', 'SELECT', 'schema_version'),
        ('tandem_auditor', 'SELECT', 'entry'),
        ('tandem_auditor', 'SELECT', 'content'),
        ('tandem_auditor', 'SELECT', 'run_claim'),
        ('tandem_auditor', 'SELECT', 'open_run'),
        ('tandem_auditor', 'SELECT', 'verification'),
        ('tandem_auditor', 'SELECT', 'retired_partition'),
        ('tandem_auditor', 'SELECT', 'checkpoint'),
        ('tandem_auditor', 'SELECT', 'legal_hold'),
        ('tandem_auditor', 'SELECT', 'legal_hold_release'),
        ('tandem_auditor', 'SELECT', 'active_hold'),
        ('tandem_auditor', 'SELECT', 'experiment_runs'),
        ('tandem_auditor', 'SELECT', 'partition_calendar'),
        ('tandem_auditor', 'EXECUTE', 'partition_month(text)'),
        ('tandem_auditor', 'INSERT', 'verification.partition_name'),
        ('tandem_auditor', 'INSERT', 'verification.row_count'),
        ('tandem_auditor', 'INSERT', 'verification.finding_count'),
        ('tandem_auditor', 'INSERT', 'verification.head'),
        ('tandem_auditor', 'INSERT', 'legal_hold.run_id'),
        ('tandem_auditor', 'INSERT', 'legal_hold.covers_from'),
        ('tandem_auditor', 'INSERT', 'legal_hold.covers_until'),
        ('tandem_auditor', 'INSERT', 'legal_hold.reason'),
        ('tandem_auditor', 'INSERT', 'legal_hold_release.hold_id'),
        ('tandem_auditor', 'INSERT', 'legal_hold_release.reason'),

        ('tandem_retention', 'USAGE', 'schema tandem'),
        ('tandem_retention', 'SELECT', 'schema_version'),
        ('tandem_retention', 'SELECT', 'active_hold'),
        ('tandem_retention', 'SELECT', 'verification'),
        ('tandem_retention', 'SELECT', 'retired_partition'),
        ('tandem_retention', 'SELECT', 'partition_calendar'),
        ('tandem_retention', 'EXECUTE', 'partition_month(text)'),
        ('tandem_retention', 'EXECUTE', 'ensure_partitions(integer)'),
        ('tandem_retention', 'EXECUTE', 'retirement_obstacles(text)'),
        ('tandem_retention', 'EXECUTE', 'retire_partition(text)'),

        ('tandem_monitor', 'USAGE', 'schema tandem'),
        ('tandem_monitor', 'SELECT', 'schema_version'),
        ('tandem_monitor', 'SELECT', 'partition_calendar'),
        ('tandem_monitor', 'EXECUTE', 'partition_month(text)'),
        ('tandem_monitor', 'SELECT', 'checkpoint'),

        ('tandem_eraser', 'USAGE', 'schema tandem'),
        ('tandem_eraser', 'DELETE', 'content'),
        ('tandem_eraser', 'SELECT', 'content.run_id'),
        ('tandem_eraser', 'SELECT', 'content.part'),
        ('tandem_eraser', 'SELECT', 'content.recorded_at'),
        ('tandem_eraser', 'SELECT', 'active_hold')),
    held (acl, object) AS (
        SELECT aclexplode(nspacl), 'schema ' || nspname
        FROM pg_namespace WHERE nspname = 'tandem'
        UNION ALL
        SELECT aclexplode(relacl), relname
        FROM pg_class WHERE relnamespace = 'tandem'::regnamespace
        UNION ALL
        SELECT aclexplode(attacl), relname || '.' || attname
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'tandem'::regnamespace
        UNION ALL
        SELECT aclexplode(coalesce(proacl, acldefault('f', proowner))),
               format('%s(%s)', proname, replace(
                   oidvectortypes(proargtypes), ', ', ','))
        FROM pg_proc WHERE pronamespace = 'tandem'::regnamespace),
    found (grantee, privilege, object) AS (
        SELECT CASE (acl).grantee WHEN 0 THEN 'PUBLIC'
                   ELSE (acl).grantee::regrole::text END,
               (acl).privilege_type || CASE WHEN (acl).is_grantable
                   THEN ' WITH GRANT OPTION' ELSE '' END,
               object
        FROM held WHERE (acl).grantee <> 'tandem_owner'::regrole)
    SELECT string_agg(format('%s: %s on %s for %s', verdict, privilege, object,
                             grantee), E'\n' ORDER BY verdict, grantee, object)
    INTO difference
    FROM (SELECT 'missing' AS verdict, lacking.*
          FROM (TABLE wanted EXCEPT TABLE found) AS lacking
          UNION ALL
          SELECT 'too much', excess.*
          FROM (TABLE found EXCEPT TABLE wanted) AS excess) AS differences;
    IF difference IS NOT NULL THEN
        RAISE EXCEPTION E'tandem: grants differ from the matrix:\n%',
            difference
            USING HINT = 'Run grants.sql again.';
    END IF;
END
$verify$;

ROLLBACK;
