-- Adding entries: places, retries, claims, checks.  Leaves a row in every
-- table and every partition, for the tests that come after.

SET search_path = tandem_test, pg_catalog;

-- One for each month there is, with its text.
SELECT expect('tandem_writer',
              entry_insert('accepted', 100 + number, number, begins_at), 'done')
FROM (SELECT begins_at, row_number() OVER (ORDER BY begins_at) AS n
      FROM tandem.partition_calendar WHERE parent_name = 'entry') AS months,
     LATERAL (SELECT n::integer AS number) AS numbered;
SELECT expect('tandem_writer',
              content_insert(100 + number, 'query', begins_at), 'done')
FROM (SELECT begins_at, row_number() OVER (ORDER BY begins_at) AS n
      FROM tandem.partition_calendar WHERE parent_name = 'content') AS months,
     LATERAL (SELECT n::integer AS number) AS numbered;

-- The first and the last moment of a month are in that month.
SELECT expect('tandem_writer', entry_insert('log_opened', NULL, 20,
    date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
        + interval '1 month' - interval '1 microsecond'), 'done');
SELECT expect('tandem_writer', entry_insert('log_opened', NULL, 21,
    now() + interval '2 years'), '23514');

-- A retry is absorbed; another entry for the same place is not.
SELECT expect('tandem_writer', entry_insert('accepted', 1, 30), 'done');
SELECT expect('tandem_writer', entry_insert('accepted', 1, 30), 'done');
SELECT same('a retry adds no entry',
            (SELECT count(*)::text FROM tandem.entry
             WHERE run_id = run_of(1)), '1');
SELECT expect('tandem_writer', entry_insert('accepted', 1, 30,
    leaf => 'b'), 'TD002');
SELECT expect('tandem_writer', content_insert(1, 'query'), 'done');
SELECT expect('tandem_writer', content_insert(1, 'query',
    body => 'other'), 'done');
SELECT same('content is not overwritten',
            (SELECT body FROM tandem.content WHERE run_id = run_of(1)),
            'text');

-- One beginning, one end, one leaving, also in another partition.
SELECT expect('tandem_writer', entry_insert('accepted', 1, 31), '23505');
SELECT expect('tandem_writer', entry_insert('accepted', 1, 31,
    moment() + interval '1 month'), '23505');
SELECT expect('tandem_writer', entry_insert('finished', 1, 32), 'done');
SELECT expect('tandem_writer', entry_insert('finished', 1, 33), '23505');
SELECT expect('tandem_writer', entry_insert('orphaned', 1, 33), '23505');
SELECT expect('tandem_writer', entry_insert('left', 1, 34), 'done');
SELECT expect('tandem_writer', entry_insert('left', 1, 35), '23505');
SELECT expect('tandem_writer', entry_insert('orphaned', 2, 36), 'done');
SELECT expect('tandem_writer', entry_insert('finished', 2, 37), '23505');
SELECT expect('tandem_writer', entry_insert('erased', 1, 38), 'done');
SELECT expect('tandem_writer', entry_insert('erased', 1, 39), 'done');
SELECT same('a refused claim leaves no entry',
            (SELECT string_agg(idx::text, ' ' ORDER BY idx) FROM tandem.entry
             WHERE idx BETWEEN 30 AND 39), '30 32 34 36 38 39');
SELECT same('a claim names its entry',
            (SELECT string_agg(class || idx, ' ' ORDER BY class)
             FROM tandem.run_claim WHERE run_id = run_of(1)),
            'accepted30 ended32 left34');

-- Many entries in one statement: each claim is made, once, and what a retry
-- brings again is passed over.
CREATE FUNCTION entries_insert(VARIADIC inserts text[]) RETURNS text
LANGUAGE sql AS $body$
SELECT regexp_replace(string_agg(
    CASE number WHEN 1 THEN replace(one, ' ON CONFLICT DO NOTHING', '')
        ELSE regexp_replace(one, '^.* VALUES (.*) ON CONFLICT.*$', '\1') END,
    ', ' ORDER BY number), '$', ' ON CONFLICT DO NOTHING')
FROM unnest(inserts) WITH ORDINALITY AS listed (one, number)
$body$;

SELECT expect('tandem_writer', entries_insert(entry_insert('accepted', 11, 170),
    entry_insert('finished', 11, 171), entry_insert('accepted', 12, 172,
        moment() + interval '1 month'),
    entry_insert('log_linked', NULL, 173), entry_insert('admin', 13, 174)),
    'done');
SELECT expect('tandem_writer', entries_insert(entry_insert('admin', 13, 174),
    entry_insert('accepted', 14, 175), entry_insert('left', 11, 176)), 'done');
SELECT expect('tandem_writer', entries_insert(entry_insert('accepted', 15, 177),
    entry_insert('accepted', 15, 178)), '23505');
SELECT expect('tandem_writer', entries_insert(entry_insert('accepted', 15, 177),
    entry_insert('orphaned', 11, 178)), '23505');
SELECT expect('tandem_writer', entries_insert(entry_insert('accepted', 15, 177),
    entry_insert('admin', 13, 174, leaf => 'b')), 'TD002');
SELECT same('each entry of a statement has its claim',
            (SELECT string_agg(class || idx, ' ' ORDER BY idx)
             FROM tandem.run_claim WHERE idx BETWEEN 170 AND 179),
            'accepted170 ended171 accepted172 admin174 accepted175 left176');
SELECT same('the runs without an end are open',
            (SELECT string_agg(number::text, ' ' ORDER BY number)
             FROM generate_series(11, 15) AS number
             JOIN tandem.open_run ON run_id = run_of(number)), '12 14');
SELECT expect('tandem_writer', entry_insert('finished', 12, 179), 'done');
SELECT same('until they have one',
            (SELECT count(*)::text FROM tandem.open_run
             WHERE run_id = run_of(12)), '0');
DROP FUNCTION entries_insert(text[]);

-- ---- a scribe's batches --------------------------------------------------------

SELECT expect('tandem_writer', batch('text', 'accepted 21 200 a',
    'log_linked - 201 a', 'accepted 22 202 a'), 'done');
SELECT expect('tandem_writer', batch('text', 'finished 21 203 a'), 'done');
SELECT same('a batch is there with its texts',
            (SELECT string_agg(idx || coalesce(content.body, ''), ' '
                               ORDER BY idx)
             FROM tandem.entry LEFT JOIN tandem.content
                 USING (run_id, recorded_at)
             WHERE idx BETWEEN 200 AND 209 AND kind <> 'finished'),
            '200text 201 202text');
SELECT same('and its runs are open until they have an end',
            (SELECT string_agg(run_id::text, ' ') FROM tandem.open_run
             WHERE run_id IN (run_of(21), run_of(22))), run_of(22)::text);

-- The same again, alone and with news; another entry for a place.
SELECT expect('tandem_writer', batch('other', 'accepted 21 200 a',
    'log_linked - 201 a', 'accepted 22 202 a'), 'done');
SELECT expect('tandem_writer', batch('other', 'accepted 22 202 a',
    'accepted 23 204 a'), 'done');
SELECT expect('tandem_writer', batch('other', 'accepted 24 205 a',
    'log_linked - 201 b'), 'TD002');
SELECT expect('tandem_writer', batch('other', 'log_linked - 201 b'), 'TD002');
SELECT expect('tandem_writer', batch('other', 'accepted 24 205 a',
    'accepted 24 206 a'), '23505');
SELECT expect('tandem_writer', batch('other', 'accepted 24 205 a',
    'finished 21 206 a'), '23505');
SELECT expect('tandem_writer', batch('other', 'accepted 24 205 a',
    'Accepted - 206 a'), '23514');
SELECT same('what was there stays, what is new is added',
            (SELECT string_agg(idx || content.body, ' ' ORDER BY idx)
             FROM tandem.entry JOIN tandem.content USING (run_id, recorded_at)
             WHERE idx BETWEEN 200 AND 209 AND kind <> 'finished'),
            '200text 202text 204other');

-- Texts that were erased do not come back with an entry that comes again.
SELECT expect('tandem_eraser', format('DELETE FROM tandem.content '
    'WHERE run_id = %L', run_of(21)), 'done');
SELECT expect('tandem_writer', batch('text', 'accepted 21 200 a'), 'done');
SELECT expect('tandem_writer', batch('text', 'accepted 21 200 a',
    'accepted 26 207 a'), 'done');
SELECT same('only the text of the entry that is new is added',
            (SELECT string_agg(idx || content.body, ' ' ORDER BY idx)
             FROM tandem.entry JOIN tandem.content USING (run_id, recorded_at)
             WHERE idx BETWEEN 200 AND 209 AND kind <> 'finished'),
            '202text 204other 207text');

-- What follows a batch in its transaction is compared as ever.
SELECT expect('tandem_writer', batch('text', entry) || '; '
    || entry_insert('accepted', run, 200 + run - 20, leaf => 'b'), 'TD002')
FROM (VALUES (25, 'accepted 25 205 a'), (22, 'accepted 22 202 a'))
    AS batches (run, entry);

-- What could be neither listed nor verified is refused.
SELECT expect('tandem_writer', entry_insert(kind, NULL, 50), '23514')
FROM unnest(ARRAY['accepted', 'finished', 'orphaned', 'left']) AS kind;
SELECT expect('tandem_writer', entry_insert('Accepted', 3, 50), '23514');
SELECT expect('tandem_writer', entry_insert('accepted', 3, -1), '23514');
SELECT expect('tandem_writer', entry_insert('accepted', 3, 50,
    leaf => '') , '23514');
SELECT expect('tandem_writer', replace(entry_insert('finished', 3, 50),
    '''ok''', 'NULL'), '23514');
SELECT expect('tandem_writer', replace(entry_insert('left', 3, 50),
    '''cancelled''', 'NULL'), '23514');
SELECT expect('tandem_writer', content_insert(3, 'Query'), '23514');
SELECT expect('tandem_writer', replace(entry_insert(kind, 3, 50),
    format('%L, E', moment()), 'NULL, E'), '23514')
FROM unnest(ARRAY['accepted', 'finished', 'left']) AS kind;
SELECT expect('tandem_writer', replace(content_insert(3, 'query'),
    repeat('0', 64), repeat('0', 62)), '23514');

-- Whatever somebody may have put before the operators of PostgreSQL.
BEGIN;
CREATE FUNCTION agrees(text, text) RETURNS boolean
LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR ~ (FUNCTION = agrees, LEFTARG = text, RIGHTARG = text);
GRANT USAGE ON SCHEMA tandem_test TO tandem_writer;
SELECT same('the operator is another', ('a'::text ~ 'b'::text)::text, 'true');
SELECT expect('tandem_writer', entry_insert('Accepted', 3, 50), '23514');
SELECT expect('tandem_writer', content_insert(3, 'Query'), '23514');
ROLLBACK;

-- Text comes back as it went in.
SELECT expect('tandem_writer', content_insert(4, 'pro',
    body => E'\\n =HYPERLINK(\r\n\t"\uFFFD" \U0001F600 ''\\'''), 'done');
SELECT same('a difficult text is unchanged',
            (SELECT body FROM tandem.content WHERE run_id = run_of(4)),
            E'\\n =HYPERLINK(\r\n\t"\uFFFD" \U0001F600 ''\\''');

-- A row for the tables that are not partitioned.
SELECT expect('tandem_writer', format('INSERT INTO tandem.checkpoint (log_id, '
    'size, root, note, recorded_at) VALUES (%L, %s, %L, ''test'', %L) '
    'ON CONFLICT DO NOTHING', '00000000-0000-7000-8000-000000000001', size,
    '\x' || repeat('0', digits), moment()), wanted)
FROM (VALUES (1, 1, 64, 'done'), (2, 1, 64, 'done'), (3, 0, 64, '23514'),
    (4, 1, 62, '23514')) AS tried (number, size, digits, wanted)
ORDER BY number;
SELECT same('a checkpoint that comes twice is there once',
            (SELECT count(*)::text FROM tandem.checkpoint), '1');
SELECT expect('tandem_auditor', 'INSERT INTO tandem.legal_hold '
    '(covers_from, covers_until, reason) '
    'VALUES (''2001-01-01'', ''2001-02-01'', ''test'')', 'done');
SELECT expect('tandem_auditor', 'INSERT INTO tandem.legal_hold_release '
    '(hold_id, reason) VALUES (1, ''test'')', 'done');
SELECT expect('tandem_auditor', 'INSERT INTO tandem.verification '
    '(partition_name, row_count, finding_count) VALUES (''none'', 0, 0)',
    'done');
SELECT expect('tandem_owner', 'INSERT INTO tandem.retired_partition '
    '(partition_name, parent_name, row_count, verification_id) '
    'VALUES (''none'', ''entry'', 0, 1)', 'done');
SELECT same('who and when cannot be made up: ' || columns,
    outcome('tandem_auditor', format('INSERT INTO tandem.%s', columns)),
    '42501')
FROM (VALUES ('legal_hold (reason, placed_by) VALUES (''x'', ''y'')'),
    ('legal_hold (reason, placed_at) VALUES (''x'', now())'),
    ('legal_hold_release (hold_id, reason, released_by) VALUES (1, ''x'', ''y'')'),
    ('verification (partition_name, row_count, finding_count, verified_at) '
     'VALUES (''x'', 0, 0, now())')) AS made_up (columns);

-- What a batch sets is set until its transaction ends.
BEGIN;
SET LOCAL synchronous_commit = off;
SELECT expect('tandem_writer', 'SELECT tandem.scribe_settings(1234)', 'done');
SELECT same('a COMMIT waits for the disk',
            current_setting('synchronous_commit'), 'on');
SELECT same('nobody waits for a lock for ever',
            current_setting('lock_timeout'), '1234ms');
COMMIT;
