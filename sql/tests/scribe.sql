-- What a scribe asks.  After writing.sql, whose entries it finds.

SET search_path = tandem_test, pg_catalog;

-- The value of a question, as the writer.
CREATE FUNCTION answer(question text) RETURNS text
LANGUAGE plpgsql AS $body$
DECLARE
    value text;
BEGIN
    SET LOCAL ROLE tandem_writer;
    EXECUTE 'SELECT ' || question INTO value;
    SET LOCAL ROLE NONE;
    RETURN value;
END
$body$;

-- A log of each host, numbered by when it was opened.
CREATE FUNCTION log_of(log integer) RETURNS uuid
LANGUAGE sql STRICT AS $body$
SELECT format('00000000-0000-7000-a000-%s', lpad(log::text, 12, '0'))::uuid
$body$;
CREATE FUNCTION entry_of(log integer, idx bigint, kind text, run integer,
    host text DEFAULT NULL)
RETURNS text
LANGUAGE sql AS $body$
SELECT replace(replace(entry_insert(kind, run, idx,
                                    moment() + make_interval(hours => log)),
                       '00000000-0000-7000-8000-000000000001',
                       log_of(log)::text),
               '{"v":1}', coalesce('{"host":"' || host || '"}', '{"v":1}'))
$body$;

SELECT expect('tandem_writer', entry_of(log, 0, 'log_opened', NULL, host),
              'done')
FROM (VALUES (1, 'a'), (2, 'b'), (3, 'a')) AS logs (log, host);
SELECT expect('tandem_writer', entry_of(log, idx, kind, run), wanted)
FROM (VALUES (1, 1, 1, 'accepted', 601, 'done'),
    (2, 2, 1, 'accepted', 602, 'done'), (3, 3, 1, 'accepted', 603, 'done'),
    (4, 3, 2, 'accepted', 604, 'done'), (5, 3, 3, 'finished', 603, 'done'),
    (6, 3, 4, 'orphaned', 605, 'done'), (7, 3, 5, 'accepted', 605, 'done'),
    (8, 3, 6, 'admin', 606, 'done'), (9, 3, 7, 'admin', 606, '23505'),
    (10, 3, 7, 'log_linked', NULL, 'done'))
    AS entries (number, log, idx, kind, run, wanted)
ORDER BY number;

SELECT same('where an entry is',
    answer(format('scribe_find FROM (SELECT log_id || '' '' || idx AS '
        'scribe_find FROM tandem.scribe_find(%L, ''finished'')) AS found',
        run_of(603))), log_of(3) || ' 3');
SELECT same('an entry of another kind is not found',
    answer(format('idx FROM tandem.scribe_find(%L, ''orphaned'')',
                  run_of(603))), NULL);
SELECT same('an admin entry is found',
    answer(format('idx FROM tandem.scribe_find(%L, ''admin'')', run_of(606))),
    '6');
SELECT same('a kind without claims is not found',
    answer(format('idx FROM tandem.scribe_find(%L, ''erased'')', run_of(1))),
    NULL);
SELECT same('the body of an entry',
    answer(format('tandem.scribe_body(%L, ''accepted'')', run_of(601))),
    '{"v":1}');

SELECT same('the last log of a host',
    answer('tandem.scribe_last_log(''a'', NULL)'), log_of(3)::text);
SELECT same('and the one before',
    answer(format('tandem.scribe_last_log(''a'', %L)', log_of(3))),
    log_of(1)::text);
SELECT same('another host has another',
    answer('tandem.scribe_last_log(''b'', NULL)'), log_of(2)::text);
SELECT same('a new host has none',
    answer('tandem.scribe_last_log(''c'', NULL)'), NULL);

SELECT same('leaves come in order and in pages',
    answer(format('string_agg(last_idx || '':'' || octet_length(leaves), '' '') '
        'FROM unnest(ARRAY[0, 3, 6, 8]) AS first, '
        'tandem.scribe_leaves(%L, first, 3)', log_of(3))),
    '2:96 5:96 7:64');

SELECT same('open runs of a host',
    answer('string_agg(right(run::text, 3), '' '' ORDER BY run) '
           'FROM tandem.scribe_open_runs(''a'') AS run'), '601 604');
SELECT same('open runs of another host',
    answer('string_agg(right(run::text, 3), '' '' ORDER BY run) '
           'FROM tandem.scribe_open_runs(''b'') AS run'), '602');
SELECT expect('tandem_owner', format('DELETE FROM tandem.open_run '
    'WHERE run_id = %L', run_of(601)), 'TD001');

-- A log that the next one is about to name.
CREATE FUNCTION end_of(host text, next integer, at timestamptz) RETURNS text
LANGUAGE sql AS $body$
SELECT answer(format('tandem.scribe_end_log(%L, %L, %L)', host, log_of(next),
                     at))
$body$;
CREATE FUNCTION batch_of(log integer, VARIADIC entries text[]) RETURNS text
LANGUAGE sql AS $body$
SELECT replace(batch('text', VARIADIC entries),
               '00000000-0000-7000-8000-000000000001', log_of(log)::text)
$body$;

SELECT expect('tandem_writer', batch_of(2, 'accepted 611 2 a'), 'done');
SELECT same('the log that ends', end_of('b', 11, moment()), log_of(2)::text);
SELECT same('and again, for the same', end_of('b', 11, now()),
    log_of(2)::text);
SELECT expect('tandem_writer', batch_of(2, 'accepted 611 2 a'), 'done');
SELECT expect('tandem_writer', batch_of(2, 'accepted 611 2 b'), 'TD005');
SELECT expect('tandem_writer', batch_of(2, 'log_linked - 3 a'), 'TD005');
SELECT expect('tandem_writer', batch_of(2, 'accepted 611 2 a',
    'log_linked - 3 a'), 'TD005');
SELECT same('nothing comes late',
    (SELECT count(*)::text FROM tandem.entry WHERE log_id = log_of(2)), '3');
SELECT same('a log that ended before', end_of('a', 12,
    moment() - interval '1 second'), log_of(3)::text);
SELECT expect('tandem_writer', batch_of(3, 'log_linked - 8 a'), 'done');

-- One that was about to be opened ends, too, whether there was one before or not.
SELECT same('the next one again', end_of(host, next, moment()), wanted)
FROM (VALUES ('b', 13, log_of(2)::text), ('d', 14, NULL), ('d', 15, NULL),
    ('e', 16, NULL)) AS hosts (host, next, wanted);
SELECT expect('tandem_writer', batch_of(log, 'log_opened - 0 a'), wanted)
FROM (VALUES (11, 'TD005'), (13, 'done'), (14, 'TD005'), (15, 'done'),
    (16, 'done')) AS logs (log, wanted);

-- Two services of one name end each other's log; whoever comes next is not kept.
SET statement_timeout = '60s';
SELECT expect('tandem_writer', entry_of(log, 0, 'log_opened', NULL, 'g'), 'done')
FROM (VALUES (17), (18)) AS logs (log);
SELECT same('logs that end each other', end_of('g', next, moment()),
    log_of(wanted)::text)
FROM (VALUES (1, 17, 18), (2, 18, 17), (3, 19, 18), (4, 20, 18))
    AS asked (number, next, wanted)
ORDER BY number;
SELECT same('each log ended once', (SELECT string_agg(right(log_id::text, 2)
        || right(next_log_id::text, 2), ' ' ORDER BY log_id)
    FROM tandem.log_end WHERE host = 'g'), '1718 1817');
RESET statement_timeout;

-- A question is answered from an index, whatever the ledger's size.
CREATE FUNCTION plan_of(statement text) RETURNS text
LANGUAGE plpgsql AS $body$
DECLARE
    line text;
    plan text := '';
BEGIN
    SET LOCAL enable_seqscan = off;
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP
        plan := plan || line || E'\n';
    END LOOP;
    RETURN plan;
END
$body$;
SELECT same('the last log comes from an index', (plan_of(
    'SELECT log_id FROM tandem.entry WHERE kind = ''log_opened'' '
    'AND body::jsonb ->> ''host'' = ''a'' '
    'ORDER BY recorded_at DESC LIMIT 1') !~ 'Sort|Seq Scan')::text, 'true');

DROP FUNCTION plan_of(text);
DROP FUNCTION batch_of(integer, text[]);
DROP FUNCTION end_of(text, integer, timestamptz);
DROP FUNCTION entry_of(integer, bigint, text, integer, text);
DROP FUNCTION log_of(integer);
DROP FUNCTION answer(text);
