-- 0003_insert_only: what is written stays as it was written.
--
-- Locks: SHARE ROW EXCLUSIVE on the ledger's own tables, for milliseconds.
-- Reversible: yes; with rows in the ledger it asks for their number.
-- Downtime: none.  Superuser: no.
-- Program: any version; none uses this schema yet.  Size: none.
--
-- Row triggers are cloned to partitions, but not always with their mode, and
-- are taken away again when a partition is detached; TRUNCATE triggers are not
-- cloned at all.  So protect() is called for each table and each partition.
--
-- SQLSTATEs: TD001 insert-only, TD002 the place is taken by another entry,
-- TD003 retiring or erasing refused, TD004 a step in the wrong order.

\set ON_ERROR_STOP on
\if :{?sha256_0003}
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
    IF newest >= 3 THEN
        RAISE EXCEPTION 'tandem: step 0003_insert_only is already in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest < 2 THEN
        RAISE EXCEPTION 'tandem: step 0003_insert_only needs step 0002_tables first '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

CREATE FUNCTION tandem.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    RAISE EXCEPTION 'tandem: % on %.% is refused: it is insert-only',
        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'TD001';
END
$body$;

-- Content may be erased, but by one role only and not while it is on hold.
-- Whoever may become tandem_eraser has to say so: SET ROLE tandem_eraser.
CREATE FUNCTION tandem.refuse_content_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF TG_OP <> 'DELETE' OR current_user <> 'tandem_eraser' THEN
        RAISE EXCEPTION 'tandem: % on %.% is refused: it is insert-only',
            TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
            USING ERRCODE = 'TD001';
    ELSIF EXISTS (SELECT FROM tandem.active_hold AS hold
                  WHERE (hold.run_id IS NULL OR hold.run_id = OLD.run_id)
                      AND OLD.recorded_at >= hold.covers_from
                      AND OLD.recorded_at < hold.covers_until) THEN
        RAISE EXCEPTION 'tandem: content of run % is on legal hold', OLD.run_id
            USING ERRCODE = 'TD003';
    END IF;
    RETURN OLD;
END
$body$;

-- Makes a table, a partitioned table or a partition insert-only, also for its
-- owner and under session_replication_role = replica.  May be repeated.
CREATE FUNCTION tandem.protect(
    relation regclass, guard text DEFAULT 'refuse_change') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger
                   WHERE tgrelid = relation AND tgname = 'insert_only') THEN
        EXECUTE format('CREATE TRIGGER insert_only '
                       'BEFORE UPDATE OR DELETE ON %s FOR EACH ROW '
                       'EXECUTE FUNCTION tandem.%I()', relation, guard);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_trigger
                   WHERE tgrelid = relation AND tgname = 'no_truncate') THEN
        EXECUTE format('CREATE TRIGGER no_truncate '
                       'BEFORE TRUNCATE ON %s FOR EACH STATEMENT '
                       'EXECUTE FUNCTION tandem.refuse_change()', relation);
    END IF;
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER insert_only, '
                   'ENABLE ALWAYS TRIGGER no_truncate', relation);
END
$body$;

-- A retry brings the same entry to the same place and is absorbed by ON
-- CONFLICT DO NOTHING.  Another entry for that place would be swallowed, too.
CREATE FUNCTION tandem.refuse_other_entry() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF EXISTS (SELECT FROM tandem.entry
               WHERE log_id = NEW.log_id AND idx = NEW.idx
                   AND recorded_at = NEW.recorded_at
                   AND leaf_hash <> NEW.leaf_hash) THEN
        RAISE EXCEPTION 'tandem: log % has another entry at %',
            NEW.log_id, NEW.idx
            USING ERRCODE = 'TD002';
    END IF;
    RETURN NEW;
END
$body$;

-- Not called for entries that ON CONFLICT DO NOTHING absorbed.  A second claim
-- ends the transaction with 23505 on run_claim_pkey.
CREATE FUNCTION tandem.claim_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    INSERT INTO tandem.run_claim (run_id, class, log_id, idx, recorded_at)
    VALUES (NEW.run_id,
            CASE NEW.kind WHEN 'accepted' THEN 'accepted'
                WHEN 'left' THEN 'left' ELSE 'ended' END,
            NEW.log_id, NEW.idx, NEW.recorded_at);
    RETURN NULL;
END
$body$;

REVOKE ALL ON FUNCTION tandem.refuse_change(), tandem.refuse_content_change(),
    tandem.protect(regclass, text), tandem.refuse_other_entry(),
    tandem.claim_run() FROM PUBLIC;

-- These two keep mode "origin": a logical replica receives the claims as rows.
CREATE TRIGGER same_place BEFORE INSERT ON tandem.entry
    FOR EACH ROW EXECUTE FUNCTION tandem.refuse_other_entry();
CREATE TRIGGER claim_run AFTER INSERT ON tandem.entry
    FOR EACH ROW
    WHEN (NEW.kind IN ('accepted', 'finished', 'orphaned', 'left'))
    EXECUTE FUNCTION tandem.claim_run();

DO $protect$
BEGIN
    PERFORM tandem.protect(relid)
    FROM pg_partition_tree('tandem.entry') ORDER BY level;
    PERFORM tandem.protect(relid, 'refuse_content_change')
    FROM pg_partition_tree('tandem.content') ORDER BY level;
    -- Retired partitions included.
    PERFORM tandem.protect(oid)
    FROM pg_class
    WHERE relnamespace = 'tandem'::regnamespace AND relkind = 'r'
        AND NOT relispartition AND relname <> 'schema_version';
END
$protect$;

INSERT INTO tandem.schema_version (version, step, file_sha256)
VALUES (3, '0003_insert_only', :'sha256_0003');

COMMIT;
