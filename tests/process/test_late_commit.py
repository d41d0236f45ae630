"""A scribe is killed, and what it gave to PostgreSQL is committed later."""

import contextlib
import os
import signal
import subprocess

import pytest

from database import Cluster, Pooler
from tandem import Stack, drain, wait_until

FAST = "flash.delay_ms=1 pro.delay_ms=5 chunk_ms=0"
PATIENCE_S = 60


@pytest.fixture(scope="module")
def cluster():
    with Cluster() as cluster:
        cluster.deploy()
        yield cluster


# An entry that comes with texts waits in its transaction.
NO_TEXTS = "LOCK TABLE tandem.content IN EXCLUSIVE MODE"
# As a transaction that writes to the only log there is, and does not end.
IN_THE_LOG = ("DO $$BEGIN PERFORM pg_advisory_xact_lock_shared("
              "hashtextextended('tandem log ' || log_id, 0)) "
              "FROM tandem.entry WHERE kind = 'log_opened'; END$$")


@contextlib.contextmanager
def holding(cluster, lock):
    """A transaction that is open while inside."""
    holder = subprocess.Popen(
        ["psql", "-X", "-q", "-At", "-d", cluster.url("super")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        holder.stdin.write(f"BEGIN; {lock}; SELECT 'locked';\n")
        holder.stdin.flush()
        assert holder.stdout.readline().strip() == "locked"
        yield
    finally:
        holder.stdin.close()
        holder.wait(PATIENCE_S)
        holder.stdout.close()


def waiting(cluster):
    """What transactions of scribes wait for."""
    return sorted(row["wait_event"] for row in cluster.rows(
        "SELECT wait_event FROM pg_stat_activity "
        "WHERE usename = 'scribe' AND wait_event_type = 'Lock'"))


@pytest.mark.takes(240)
@pytest.mark.parametrize("pooled", [False, True])
def test_the_next_scribe_waits_for_what_the_dead_one_left(cluster, pooled):
    with contextlib.ExitStack() as world:
        env = {"INSTANCE_NAME": f"pooled-{pooled}", "DATABASE_TIMEOUT_S": "30"}
        if pooled:
            env |= world.enter_context(Pooler(cluster)).environment()
        stack = world.enter_context(Stack(database=cluster, web=None, env=env))
        stack.expect_errors |= {"child_died"}
        stack.ask(sim=FAST)
        with holding(cluster, NO_TEXTS):
            streams = [stack.open(sim=FAST) for _ in range(3)]
            wait_until(lambda: waiting(cluster) == ["relation"], PATIENCE_S,
                       "a transaction under way")
            os.kill(stack.workers("scribe")[0], signal.SIGKILL)
            wait_until(lambda: "advisory" in waiting(cluster) or
                       len(stack.log.lines(event="ledger_log_opened")) > 1,
                       PATIENCE_S, "the next scribe")
        assert drain(streams, PATIENCE_S) == []
        for stream in streams:
            assert stream.data("done")["audit"]["state"] == "committed"
            assert stack.ledger.kinds(stream.run_id) == ["accepted",
                                                         "finished"]


@pytest.mark.takes(240)
def test_a_scribe_that_waits_in_vain_serves_and_links_its_log_later():
    with contextlib.ExitStack() as world:
        cluster = world.enter_context(Cluster())
        cluster.deploy()
        stack = world.enter_context(Stack(database=cluster, web=None, env={
            "DATABASE_TIMEOUT_S": "2"}))
        stack.expect_errors |= {"child_died", "ledger_write_failed",
                                "ledger_catch_up_failed"}
        stack.ask(sim=FAST)
        with holding(cluster, IN_THE_LOG):
            os.kill(stack.workers("scribe")[0], signal.SIGKILL)
            told = stack.log.wait_for(PATIENCE_S, event="ledger_link_later")
            assert "an earlier scribe left behind" in told["msg"]
            done = stack.ask(sim=FAST, within=PATIENCE_S).data("done")
            assert done["audit"]["state"] in ("committed", "spooled")
            assert not stack.ledger.rows(
                "SELECT 1 AS it FROM entry WHERE kind = 'log_linked'")
        wait_until(lambda: stack.ledger.rows(
            "SELECT 1 AS it FROM entry WHERE kind = 'log_linked'"), PATIENCE_S,
            "the link to the log before")
