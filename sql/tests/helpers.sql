-- What the tests share.  For a scratch database and a superuser: tests take on
-- every role in turn.  Each check is one line, "ok - ..." or "FAILED - ...".

\set ON_ERROR_STOP on
CREATE SCHEMA tandem_test;
SET search_path = tandem_test, pg_catalog;

-- "done", or the SQLSTATE with which the statement was refused as that role.
CREATE FUNCTION outcome(role_name text, statement text) RETURNS text
LANGUAGE plpgsql AS $body$
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role_name);
    EXECUTE statement;
    SET LOCAL ROLE NONE;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$body$;

CREATE FUNCTION same(label text, found text, wanted text) RETURNS text
LANGUAGE sql AS $body$
SELECT CASE WHEN found IS NOT DISTINCT FROM wanted THEN 'ok - ' || label
    ELSE format('FAILED - %s: found %s, wanted %s', label,
                coalesce(found, 'null'), coalesce(wanted, 'null')) END
$body$;

CREATE FUNCTION expect(role_name text, statement text, wanted text)
RETURNS text
LANGUAGE plpgsql AS $body$
BEGIN
    RETURN same(format('%s: %s: %s', role_name,
                       regexp_replace(statement, '\s+', ' ', 'g'), wanted),
                outcome(role_name, statement), wanted);
END
$body$;

CREATE FUNCTION run_of(run integer) RETURNS uuid
LANGUAGE sql STRICT AS $body$
SELECT format('00000000-0000-7000-9000-%s', lpad(run::text, 12, '0'))::uuid
$body$;

-- Always the same moment, so that a retry is one; it has a partition.
CREATE FUNCTION moment() RETURNS timestamptz
LANGUAGE sql AS $body$
SELECT date_trunc('month', now(), 'UTC') + interval '1 day'
$body$;

-- The statement that a writer sends, for an entry of that kind.
CREATE FUNCTION entry_insert(kind text, run integer, idx bigint,
    recorded_at timestamptz DEFAULT moment(), leaf text DEFAULT 'a')
RETURNS text
LANGUAGE sql AS $body$
SELECT format('INSERT INTO tandem.entry (log_id, idx, recorded_at, kind, '
    'run_id, status, started_at, leaf_hash, body) VALUES (%L, %L, %L, %L, %L, '
    '%L, %L, %L, %L) ON CONFLICT DO NOTHING',
    '00000000-0000-7000-8000-000000000001', idx, recorded_at, kind,
    tandem_test.run_of(run), CASE kind WHEN 'finished' THEN 'ok'
        WHEN 'left' THEN 'cancelled' WHEN 'orphaned' THEN 'orphaned' END,
    CASE WHEN run IS NOT NULL THEN recorded_at END,
    '\x' || repeat(leaf, 64), '{"v":1}')
$body$;

CREATE FUNCTION content_insert(run integer, part text,
    recorded_at timestamptz DEFAULT moment(), body text DEFAULT 'text')
RETURNS text
LANGUAGE sql AS $body$
SELECT format('INSERT INTO tandem.content (run_id, part, recorded_at, salt, '
    'body) VALUES (%L, %L, %L, %L, %L) ON CONFLICT DO NOTHING',
    tandem_test.run_of(run), part, recorded_at, '\x' || repeat('0', 64), body)
$body$;

-- The call for entries that are written "kind run idx leaf"; those that are
-- accepted bring a text.
CREATE FUNCTION batch(body text, VARIADIC entries text[]) RETURNS text
LANGUAGE sql AS $body$
SELECT format('SELECT tandem.scribe_write(array_agg(%L::uuid), array_agg(idx), '
    'array_agg(at), array_agg(kind), array_agg(run), array_agg(status), '
    'array_agg(NULL::text), array_agg(at), %s, array_agg(leaf), '
    'array_agg(''{"v":1}''::text), array_agg(run) FILTER (WHERE %s), '
    'array_agg(''query''::text) FILTER (WHERE %3$s), '
    'array_agg(at) FILTER (WHERE %3$s), '
    'array_agg(leaf) FILTER (WHERE %3$s), '
    'array_agg(%4$L::text) FILTER (WHERE %3$s)) '
    'FROM (VALUES %5$s) AS entry (idx, at, kind, run, status, leaf)',
    '00000000-0000-7000-8000-000000000001',
    (SELECT string_agg(format('array_agg(NULL::%s)', type), ', ')
     FROM unnest(string_to_array('bigint,bigint,bigint,text,text,bigint,'
         'bigint,bigint,bigint,text,text', ',')) AS type),
    'kind = ''accepted''', body,
    (SELECT string_agg(format('(%s::bigint, %L::timestamptz, %L, %L::uuid, '
         '%L, %L::bytea)', part[3], tandem_test.moment(), part[1],
         tandem_test.run_of(nullif(part[2], '-')::integer),
         CASE part[1] WHEN 'finished' THEN 'ok' END,
         '\x' || repeat(part[4], 64)), ', ')
     FROM unnest(entries) AS one, string_to_array(one, ' ') AS part))
$body$;

-- Every table, partitioned table and partition of the ledger.
CREATE VIEW ledger_table AS
SELECT pg_class.oid::regclass AS relation, relname, relispartition
FROM pg_class
WHERE relnamespace = 'tandem'::regnamespace AND relkind IN ('r', 'p');
