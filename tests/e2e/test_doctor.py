"""tandemctl doctor and tandemctl spool, as an operator uses them."""

import json
import signal

import pytest

from database import Cluster
from inside import landlock
from tandem import Stack, wait_until

FAST = "flash.delay_ms=1 pro.delay_ms=2 chunk_ms=0"


@pytest.fixture(scope="module")
def stack():
    with Stack(web=None) as stack:
        stack.ask(sim=FAST)
        yield stack


def verdicts(stack, **environment):
    kept = dict(stack.env)
    stack.env.update(environment)
    try:
        result = stack.tandemctl("doctor", "--json")
    finally:
        stack.env = kept
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == (
        1 if any(line["verdict"] == "WRONG" for line in lines) else 0), result
    return {line["check"]: (line["verdict"], line["text"]) for line in lines}


def test_a_service_in_order(stack):
    found = verdicts(stack)
    assert {check: verdict for check, (verdict, _) in found.items()} == {
        "configuration": "ok", "flash": "ok", "pro": "ok", "clock": "ok",
        "reader": "ok", "disk": "ok", "spool": "ok", "service": "ok",
        "confinement": "ok" if landlock() >= 3 else "note"}
    plain = stack.tandemctl("doctor")
    assert plain.returncode == 0 and len(plain.stdout.splitlines()) == 9


@pytest.mark.parametrize("environment, check, verdict, word", [
    ({"FLASH_TIMEOUT_S": "x"}, "configuration", "WRONG", "FLASH_TIMEOUT_S"),
    ({"FLASH_BASE_URL": "http://127.0.0.1:9"}, "flash", "WRONG",
     "FLASH_BASE_URL"),
    ({"SPOOL_RESERVE_BYTES": "500000000000",
      "SPOOL_MAX_BYTES": "1000000000000"}, "disk", "WRONG", "make room"),
    ({"SPOOL_DIR": "/dev/shm"}, "disk", "ok", "under /dev/shm"),
    ({"SPOOL_DIR": "/dev/shm"}, "state disk", "ok", "state"),
    ({"CONTROL_SOCKET": "/nonexistent/c.sock"}, "service", "note",
     "does not run"),
    ({"CONFINE_WORKERS": "false"}, "confinement", "note", "taken over"),
    ({"STATE_DIR": "/nonexistent"}, "ledger", "note", "first start"),
    ({"DATABASE_URL": "postgresql:///x?host=/nonexistent"}, "database",
     "WRONG", "pg_hba.conf"),
])
def test_what_is_not_in_order_is_named_with_what_to_do(
        stack, environment, check, verdict, word):
    found = verdicts(stack, **environment)
    assert found[check][0] == verdict and word in found[check][1], found


def test_the_months_that_the_database_has_are_counted():
    with Cluster() as cluster:
        cluster.deploy()
        with Stack(web=None, database=cluster) as stack:
            verdict, text = verdicts(stack)["months"]
            assert verdict == "ok" and "more days" in text
            cluster.psql(
                "SET client_min_messages = error; "
                "SELECT format('ALTER TABLE tandem.%I DETACH PARTITION "
                "tandem.%I', parent_name, partition_name) "
                "FROM tandem.partition_calendar WHERE parent_name = 'content' "
                "AND begins_at > now() \\gexec")
            verdict, text = verdicts(stack)["months"]
            assert verdict == "WRONG" and "ensure_partitions" in text


def test_batches_that_wait_are_listed_and_drained():
    """A ledger that cannot be written to, and then can."""
    with Stack(web=None) as stack:
        stack.expect_errors |= {"ledger_write_failed", "ledger_store_away"}
        empty = stack.tandemctl("spool", "ls")
        assert empty.stdout == "The spool is empty.\n", empty
        with stack.ledger.locked():
            done = stack.ask(sim=FAST, within=40).data("done")
            assert done["audit"]["state"] == "spooled"
            listed = stack.tandemctl("spool", "ls", "--json")
            files = [json.loads(line) for line in listed.stdout.splitlines()]
            assert [file["folder"] for file in files] == ["new"] * len(files)
            assert sum(file["entries"] for file in files) == 2
            assert verdicts(stack)["spool"][0] == "note"
            waits = stack.tandemctl("spool", "drain", "--timeout", "0.5")
            assert waits.returncode == 1 and "doctor" in waits.stderr
        drained = stack.tandemctl("spool", "drain")
        assert drained.returncode == 0, drained
        receipt = stack.ledger.entries(done["run_id"])[1]
        assert receipt["leaf_hash"].hex() == done["audit"]["leaf_hash"]


def test_a_batch_set_aside_is_wrong_until_it_is_put_back():
    with Stack(web=None) as stack:
        stack.expect_errors |= {"ledger_write_failed", "ledger_store_away"}
        spool = stack.folder / "state" / "spool"
        with stack.ledger.locked():
            stack.ask(sim=FAST, within=40)
            stack.stop_tandemd(within=40)
        for batch in (spool / "new").iterdir():
            batch.rename(spool / "bad" / batch.name)
        stack.start_tandemd()
        assert verdicts(stack)["spool"][0] == "WRONG"
        drained = stack.tandemctl("spool", "drain", "--set-aside")
        assert drained.returncode == 0, drained
        wait_until(lambda: verdicts(stack)["spool"][0] == "ok", 20,
                   "a spool in order")
        stack.tandemd.send(signal.SIGTERM)


def test_a_batch_that_is_refused_again_is_said_to_be():
    with Stack(web=None) as stack:
        stack.expect_errors |= {"ledger_spool_damaged"}
        spool = stack.folder / "state" / "spool"
        for number in range(2):
            (spool / "bad" / f"{number:016x}.jsonl").write_text("damaged\n")
        steers = spool / "bad" / "\x1b[2J.jsonl"
        steers.write_text("damaged\n")
        listed = stack.tandemctl("spool", "ls")
        assert "\\u001b[2J.jsonl" in listed.stdout, listed
        assert "\x1b" not in listed.stdout, listed
        steers.unlink()
        aside = stack.tandemctl("spool", "drain")
        assert aside.returncode == 0 and "--set-aside" in aside.stdout, aside
        again = stack.tandemctl("spool", "drain", "--set-aside")
        assert again.returncode == 1 and again.stdout == "", again
        assert "2 batches were refused" in again.stderr
        assert len(list((spool / "bad").iterdir())) == 2
