"""The service with its ledger in PostgreSQL, by the roles that DBAs make."""

import collections
import contextlib
import json
import signal
import threading

import pytest

from database import Cluster, Pooler, Refused
from tandem import Stack, drain, wait_until

FAST = "flash.delay_ms=1 pro.delay_ms=5 chunk_ms=0"
SLOW = "flash.delay_ms=20 pro.delay_ms=500 chunk_ms=0"
CONTROL_WORKERS = 2


@pytest.fixture(scope="module")
def cluster():
    with Cluster() as cluster:
        cluster.deploy()
        yield cluster


@pytest.fixture(scope="module")
def served(cluster):
    with Stack(database=cluster, env={
            "CONTROL_WORKERS": str(CONTROL_WORKERS),
            "STREAM_WORKERS_MAX": "24"}) as stack:
        yield stack
        stack.expect_errors |= {"ledger_write_failed", "ledger_store_away"}


def experiments(stack):
    answer = stack.control("/api/experiments")
    assert answer.status == 200, answer
    return json.loads(answer.body)["experiments"]


def test_the_caller_was_told_what_stands_in_the_database(served):
    answer = served.ask("what is blue?", FAST)
    done = answer.data("done")
    entries = served.ledger.entries(done["run_id"])
    assert [entry["kind"] for entry in entries] == ["accepted", "finished"]
    assert done["audit"] == {
        "state": "committed", "log": entries[1]["log_id"],
        "index": entries[1]["idx"],
        "leaf_hash": entries[1]["leaf_hash"].hex()}
    assert served.ledger.content(done["run_id"])["query"].startswith(
        b"what is blue?")


def test_runs_are_listed_and_shown(served):
    run_id = served.ask("who is asking?", FAST,
                        user="ada").data("done")["run_id"]
    newest = experiments(served)[0]
    assert newest["id"] == run_id
    assert newest["query"].startswith("who is asking?")
    shown = served.tandemctl("show", run_id)
    assert shown.returncode == 0 and "who is asking?" in shown.stdout, shown
    for arguments, count in (
            (["--user", "ada"], 1), (["--user", "bob"], 0),
            (["--user", "ada", "--status", "ok"], 1),
            (["--user", "ada", "--until", "2020-01-01"], 0),
            (["--user", "ada", "--since", "2020-01-01"], 1)):
        listed = served.tandemctl("runs", "--json", *arguments)
        assert listed.returncode == 0, listed
        assert len(listed.stdout.splitlines()) == count, arguments


def test_a_reader_without_texts_gets_null_and_the_log_says_so_once(cluster):
    with Stack(database=cluster, web=None, env={
            "DATABASE_READER_URL": cluster.url("reader"),
            "CONTROL_WORKERS": "1"}) as stack:
        stack.ask("hidden?", FAST)
        for _ in range(3):
            newest = experiments(stack)[0]
            assert newest["query"] is None and newest["status"] == "ok"
        assert len(stack.log.lines(event="ledger_texts_hidden")) == 1


def test_a_login_that_may_not_read_is_named(cluster):
    with Stack(database=cluster, web=None,
               env={"DATABASE_READER_URL": ""}) as stack:
        answer = stack.control("/api/experiments")
        assert answer.status == 503
        assert json.loads(answer.body)["code"] == "ledger_unavailable"
        line = stack.log.lines(event="ledger_not_readable")[0]
        assert "tandem_reader" in line["msg"]


def test_the_writers_login_may_only_add(served, cluster):
    served.ask(sim=FAST)
    relations = [row["name"] for row in cluster.rows(
        "SELECT oid::regclass AS name FROM pg_class WHERE relkind IN "
        "('r', 'p') AND relnamespace = 'tandem'::regnamespace")]
    assert len(relations) > 15
    for relation in relations:
        column = cluster.rows(
            "SELECT attname FROM pg_attribute WHERE attnum = 2 AND "
            f"attrelid = '{relation}'::regclass")[0]["attname"]
        attempts = [f"UPDATE {relation} SET {column} = {column}",
                    f"DELETE FROM {relation}", f"TRUNCATE {relation}",
                    f"DROP TABLE {relation}",
                    f"ALTER TABLE {relation} ADD COLUMN more text",
                    f"ALTER TABLE {relation} DISABLE TRIGGER ALL"]
        if relation != "tandem.schema_version":
            attempts.append(f"SELECT * FROM {relation}")
        for attempt in attempts:
            with pytest.raises(Refused, match="42501"):
                cluster.psql(attempt + ";", "scribe")
    for attempt in ("CREATE TABLE tandem.mine (a int)", "CREATE SCHEMA mine",
                    "SET ROLE tandem_owner",
                    "SET session_replication_role = replica"):
        with pytest.raises(Refused, match="42501"):
            cluster.psql(attempt + ";", "scribe")


def holds(pid, secret):
    """Whether the secret is anywhere in the memory of a process."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, \
            open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if not rights.startswith("rw") or "[v" in line:
                continue
            first, last = (int(at, 16) for at in span.split("-"))
            memory.seek(first)
            with contextlib.suppress(OSError):
                if secret in memory.read(last - first):
                    return True
    return False


def reload(stack):
    before = len(stack.log.lines(event="reload_finished"))
    stack.tandemd.send(signal.SIGHUP)
    wait_until(lambda: len(stack.log.lines(event="reload_finished")) > before,
               20, "a reload to end")


def logins_in(stack):
    return {pool: {secret for pid in stack.workers(pool)
                   for secret in (b"writes-4711", b"reads-4712")
                   if holds(pid, secret)}
            for pool in ("stream", "control", "scribe")}


@pytest.mark.parametrize("in_file", [False, True])
def test_who_faces_the_network_holds_no_login_to_write(cluster, in_file):
    logins = {name: url + f"&password={secret}" for (name, url), secret in zip(
        cluster.environment().items(), ("writes-4711", "reads-4712"))}
    with Stack(database=cluster, web=None, env={} if in_file else logins,
               config=logins if in_file else None) as stack:
        if stack.is_sanitized():
            pytest.skip("a sanitizer keeps what was freed")
        if in_file:
            stack.stop_tandemd()
            for name in logins:
                del stack.env[name]
            stack.start_tandemd()
        held = stack.open(sim="flash.delay_ms=1 pro.delay_ms=20000")
        held.until("preliminary", 10)  # its generation lives on
        for reloads in range(3):
            if reloads > 0:
                reload(stack)
            stack.ask(sim=FAST)
            experiments(stack)
            found = logins_in(stack)
            assert stack.workers("stream") and stack.workers("control")
            assert b"writes-4711" in found["scribe"]
            assert found["control"] == {b"reads-4712"}, f"{reloads} reloads"
            assert found["stream"] == set(), f"{reloads} reloads"
        held.close()


# Entries of this kind wait for a lock that a test may hold.
SLOW_ADMIN = """
CREATE FUNCTION public.wait_for_test() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_catalog.pg_advisory_xact_lock(4711); RETURN NEW; END $$;
CREATE TRIGGER wait_for_test BEFORE INSERT ON tandem.entry FOR EACH ROW
    WHEN (NEW.kind = 'admin') EXECUTE FUNCTION public.wait_for_test();
"""
LOCK = "DO $$BEGIN PERFORM pg_advisory_xact_lock(4711); END$$"


@pytest.fixture
def slow_admin(cluster):
    cluster.psql(SLOW_ADMIN)
    yield
    cluster.psql("DROP FUNCTION public.wait_for_test() CASCADE")


def test_no_client_waits_for_the_record_of_a_changed_time_out(
        cluster, slow_admin):
    with Stack(database=cluster, web=None, env={
            "DATABASE_TIMEOUT_S": "30", "ADAPTIVE_TIMEOUTS": "true",
            "EARLY_FLASH_TERMINATION": "false"}) as stack:
        runs = [stack.open(sim=FAST) for _ in range(49)]
        assert drain(runs, 40) == []
        assert stack.log.lines(event="timeout_changed") == []
        with stack.ledger.locked(LOCK):
            assert stack.ask(sim=FAST).names()[-1] == "done"
            stack.log.wait_for(20, event="timeout_changed")
            assert stack.log.lines(event="change_not_recorded") == []
        # Or it took us two seconds to look.
        stack.expect_errors |= {"change_not_recorded"}
        wait_until(lambda: stack.ledger.changes(), 20, "the record")


def connections(cluster):
    return collections.Counter(row["usename"] for row in cluster.rows(
        "SELECT usename FROM pg_stat_activity WHERE datname = 'ledger' "
        "AND usename <> 'super'"))


def test_there_is_one_connection_for_the_scribe_and_one_a_control_worker(
        served, cluster):
    streams = [served.open(sim=SLOW) for _ in range(20)]
    asking = threading.Event()

    def keep_listing():
        while not asking.is_set():
            served.control("/api/experiments?limit=1")

    listers = [threading.Thread(target=keep_listing) for _ in range(4)]
    for lister in listers:
        lister.start()
    seen = []

    def all_are_there():
        seen.append(connections(cluster))
        return seen[-1] == {"scribe": 1, "auditor": CONTROL_WORKERS}

    try:
        wait_until(all_are_there, 20, "each control worker's connection")
        for _ in range(10):
            assert all_are_there(), seen[-1]
    finally:
        asking.set()
        for lister in listers:
            lister.join()
    assert all(count["scribe"] <= 1 and count["auditor"] <= CONTROL_WORKERS
               for count in seen)
    for stream in streams:
        assert stream.finish(20).data("done")["audit"]["state"] == "committed"


@pytest.mark.takes(240)
def test_through_a_pooler_in_transaction_mode(cluster):
    with Pooler(cluster) as pooler:
        with Stack(database=cluster, web=None,
                   env=pooler.environment()) as stack:
            streams = [stack.open(sim=FAST) for _ in range(8)]
            for stream in streams:
                done = stream.finish(20).data("done")
                assert done["audit"]["state"] == "committed"
                assert stack.ledger.kinds(done["run_id"]) == ["accepted",
                                                              "finished"]
            assert len(experiments(stack)) >= 8
            assert not stack.log.lines(event="ledger_write_failed")


@pytest.mark.takes(240)
def test_a_database_that_is_away_is_a_clean_503_for_listings_alone(
        served, cluster):
    experiments(served)
    cluster.down("immediate")
    try:
        answer = served.control("/api/experiments")
        assert answer.status == 503
        assert json.loads(answer.body)["code"] == "ledger_unavailable"
        assert served.control("/livez").status == 200
        assert served.control("/metrics").status == 200
        done = served.ask(sim=FAST, within=40).data("done")
        assert done["audit"]["state"] == "spooled"
    finally:
        cluster.up()
    assert experiments(served)
    drained = served.tandemctl("spool", "drain")
    assert drained.returncode == 0, drained
    assert served.ledger.entries(done["run_id"])[1]["leaf_hash"].hex() == \
        done["audit"]["leaf_hash"]
