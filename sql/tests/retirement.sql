-- Taking an old month out: each obstacle, then success.

SET search_path = tandem_test, pg_catalog;

-- A month that ended more than six months ago, and one that did not.
CREATE TABLE months AS
SELECT date_trunc('month', now(), 'UTC') - interval '8 months' AS old,
       date_trunc('month', now(), 'UTC') - interval '6 months' AS young;
CREATE FUNCTION named(parent text, month timestamptz) RETURNS text
LANGUAGE sql AS $body$
SELECT parent || to_char(month AT TIME ZONE 'UTC', '_YYYY_MM')
$body$;
CREATE FUNCTION retire(parent text) RETURNS text
LANGUAGE sql AS $body$
SELECT format('SELECT tandem.retire_partition(%L)', named(parent, old))
FROM months
$body$;
CREATE FUNCTION obstacles(parent text, month timestamptz) RETURNS text
LANGUAGE sql AS $body$
SELECT string_agg(obstacle, '; ')
FROM tandem.retirement_obstacles(named(parent, month)) AS obstacle
$body$;
CREATE FUNCTION verified(parent text, row_count integer, finding_count integer)
RETURNS text
LANGUAGE sql AS $body$
SELECT format('INSERT INTO tandem.verification (partition_name, row_count, '
    'finding_count) VALUES (%L, %L, %L)', named(parent, old), row_count,
    finding_count)
FROM months
$body$;

SELECT expect('tandem_owner', format('SELECT tandem.make_partition(%L, %L)',
    parent, month::date), 'done')
FROM months, unnest(ARRAY[old, young]) AS month,
     unnest(ARRAY['entry', 'content']) AS parent;
SELECT expect('tandem_writer', entry_insert('accepted', 500 + idx, 500 + idx,
    old + interval '1 day'), 'done')
FROM months, generate_series(1, 3) AS idx;
SELECT expect('tandem_writer', content_insert(501, 'query',
    old + interval '1 day'), 'done')
FROM months;

SELECT same('what is no partition', obstacles('schema_version', old),
            format('%s is not a partition of the ledger',
                   named('schema_version', old)))
FROM months;
SELECT same('a young month that was never verified',
            obstacles('content', young),
            format('it ended at %s, which is less than 6 months ago; '
                   'it was never verified', young + interval '1 month'))
FROM months;
SELECT same('an old one', obstacles('content', old), 'it was never verified')
FROM months;
SELECT expect('tandem_retention', retire('content'), 'TD003');

SELECT expect('tandem_auditor', verified('content', 1, 2), 'done');
SELECT same('with findings', obstacles('content', old),
            'its newest verification has 2 findings')
FROM months;
SELECT expect('tandem_retention', retire('content'), 'TD003');

SELECT expect('tandem_auditor', verified('content', 0, 0), 'done');
SELECT same('with a row too many', obstacles('content', old),
            'it has 1 rows, but 0 were verified')
FROM months;
SELECT expect('tandem_retention', retire('content'), 'TD003');

SELECT expect('tandem_auditor', verified('content', 1, 0), 'done');
SELECT same('in order', obstacles('content', old), NULL) FROM months;

SELECT expect('tandem_auditor', format('INSERT INTO tandem.legal_hold '
    '(run_id, reason) VALUES (%L, ''of one run'')', run_of(501)), 'done');
SELECT same('with a run on hold', obstacles('content', old),
            'it is on legal hold (see tandem.active_hold)')
FROM months;
SELECT expect('tandem_retention', retire('content'), 'TD003');
SELECT expect('tandem_auditor', 'INSERT INTO tandem.legal_hold_release '
    '(hold_id, reason) SELECT hold_id, ''over'' FROM tandem.active_hold',
    'done');
SELECT expect('tandem_auditor', format('INSERT INTO tandem.legal_hold '
    '(covers_from, covers_until, reason) VALUES (%L, %L, ''of a day'')',
    old + interval '3 days', old + interval '4 days'), 'done')
FROM months;
SELECT same('with a day on hold', obstacles('content', old),
            'it is on legal hold (see tandem.active_hold)')
FROM months;
SELECT expect('tandem_auditor', 'INSERT INTO tandem.legal_hold_release '
    '(hold_id, reason) SELECT hold_id, ''over'' FROM tandem.active_hold',
    'done');
SELECT expect('tandem_auditor', format('INSERT INTO tandem.legal_hold '
    '(covers_from, covers_until, reason) VALUES (%L, %L, ''of the next'')',
    old + interval '1 month', old + interval '2 months'), 'done')
FROM months;
SELECT same('with the next month on hold', obstacles('content', old), NULL)
FROM months;
SELECT expect('tandem_auditor', format('INSERT INTO tandem.legal_hold '
    '(run_id, reason) VALUES (%L, ''not in this month'')', run_of(1)), 'done');
SELECT same('with a run of another month on hold', obstacles('content', old),
            NULL)
FROM months;

SELECT expect('tandem_auditor', verified('entry', 3, 0), 'done');
SELECT same('entries before their content', obstacles('entry', old),
            'the content of its month is still in the ledger')
FROM months;
SELECT expect('tandem_retention', retire('entry'), 'TD003');

SELECT expect('tandem_retention', retire('content'), 'done');
SELECT expect('tandem_retention', retire('entry'), 'done');
SELECT expect('tandem_retention', retire('entry'), 'TD003');

-- Out of the ledger, still there, still insert-only, and written down.
SELECT same('the entries are out', (SELECT count(*)::text FROM tandem.entry
    WHERE run_id IN (run_of(501), run_of(502), run_of(503))), '0');
SELECT same('who retired what', (SELECT string_agg(format('%s %s %s',
        partition_name, row_count, retired_by), '; ' ORDER BY partition_name)
    FROM tandem.retired_partition WHERE partition_name <> 'none'),
    format('%s 1 super; %s 3 super', named('content', old),
           named('entry', old)))
FROM months;
SELECT expect(who, replica || format(attempt, named(parent, old)), 'TD001')
FROM months, unnest(ARRAY['entry', 'content']) AS parent,
(VALUES ('tandem_owner', ''),
    ('super', 'SET LOCAL session_replication_role = replica; '))
    AS tried (who, replica),
(VALUES ('UPDATE tandem.%s SET body = body'), ('DELETE FROM tandem.%s'),
    ('TRUNCATE tandem.%s')) AS attempts (attempt);
SELECT expect(role_name, format('SELECT FROM tandem.%s', named('entry', old)),
              '42501')
FROM months, unnest(ARRAY['tandem_writer', 'tandem_reader', 'tandem_auditor',
    'tandem_retention']) AS role_name;
SELECT expect('tandem_writer', entry_insert('log_closed', NULL, 504,
    old + interval '1 day'), '23514')
FROM months;
SELECT expect('tandem_writer', entry_insert('accepted', 501, 505), '23505');

DROP FUNCTION named, retire, obstacles, verified;
DROP TABLE months;
