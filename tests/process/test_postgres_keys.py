"""Idempotency keys with the ledger in PostgreSQL: replays, hosts, outages."""

import os
import signal

import pytest

from database import Cluster
from tandem import Stack, drain, wait_until

FAST = "flash.delay_ms=1 pro.delay_ms=5 chunk_ms=0"
SLOW = "flash.delay_ms=20 pro.delay_ms=1500 chunk_ms=0"


@pytest.fixture(scope="module")
def cluster():
    with Cluster() as cluster:
        cluster.deploy()
        yield cluster


def keyed(key):
    return {"Idempotency-Key": key}


def told(answer):
    return [(event.name, event.id,
             {name: value for name, value in event.data.items()
              if name != "replayed"}) for event in answer.events]


def code_of(answer):
    return answer.status, answer.json()["code"]


def test_a_replay_is_read_from_the_database_also_by_the_next_scribe(cluster):
    with Stack(database=cluster) as stack:
        stack.expect_errors |= {"child_died"}
        first = stack.ask(sim=FAST, headers=keyed("pg"), events="both")
        scribe, = stack.workers("scribe")
        os.kill(scribe, signal.SIGKILL)
        again = stack.ask(sim=FAST, headers=keyed("pg"), events="both")
        assert told(again) == told(first)
        assert all(event.data["replayed"] for event in again.events)
        answer = stack.open("else?", headers=keyed("pg")).finish(20)
        assert code_of(answer) == (422, "idempotency_key_reused")
        path = f"/api/reasoning/runs/{first.run_id}/events"
        rest = stack.get(path, {"Last-Event-ID": first.events[2].id})
        assert told(rest) == told(first)[3:]


def test_texts_that_the_login_may_not_see_are_not_told(cluster):
    with Stack(database=cluster, env={
            "DATABASE_READER_URL": cluster.url("reader")}) as stack:
        first = stack.ask(sim=FAST, headers=keyed("hidden"))
        for answer in (
                stack.open(sim=FAST, headers=keyed("hidden")).finish(20),
                stack.get(f"/api/reasoning/runs/{first.run_id}/events")):
            assert code_of(answer) == (404, "texts_hidden")


def test_of_two_hosts_one_takes_the_key(cluster):
    with Stack(database=cluster) as one, Stack(database=cluster) as other:
        for round_ in range(5):
            with one.sim.held(), other.sim.held():
                answers = [stack.open(sim=SLOW,
                                      headers=keyed(f"hosts-{round_}"))
                           for stack in (one, other)]
                for answer in answers:
                    answer.until_headers(20)
            assert drain(answers, 20) == []
            assert sorted(answer.status for answer in answers) == [200, 409]
            ran, refused = sorted(answers, key=lambda one: one.status)
            assert refused.json()["code"] == "idempotency_in_progress"
            assert refused.json()["run_id"] == ran.run_id
        again = other.ask(sim=SLOW, headers=keyed("hosts-0"))
        assert all(event.data["replayed"] for event in again.events)


@pytest.mark.takes(300)
def test_while_the_database_is_away_the_host_remembers(cluster):
    with Stack(database=cluster) as stack:
        stack.expect_errors |= {"ledger_write_failed", "ledger_store_away",
                                "child_died"}
        cluster.down("immediate")
        try:
            first = stack.ask(sim=FAST, headers=keyed("away"), within=40)
            assert first.data("done")["audit"]["state"] == "spooled"

            def refused():
                other = stack.open("else?", headers=keyed("away"))
                same = stack.open(sim=FAST, headers=keyed("away"))
                return code_of(other.finish(40)), same.finish(40).status
            assert refused() == ((422, "idempotency_key_reused"), 503)
            scribe, = stack.workers("scribe")
            os.kill(scribe, signal.SIGKILL)
            assert refused() == ((422, "idempotency_key_reused"), 503)
        finally:
            cluster.up()
        (stack.folder / "state" / "spool" / "drain").touch()
        wait_until(lambda: len(stack.ledger.kinds(first.run_id)) == 2, 90,
                   "the spool to be drained")
        again = stack.ask(sim=FAST, headers=keyed("away"), within=40)
        assert again.run_id == first.run_id
        assert again.events[0].data["replayed"] is True
