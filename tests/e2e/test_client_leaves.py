"""A client that leaves costs nothing more, and the record says how far it got.
"""

import contextlib
import os
import signal
import socket
import time

import pytest

from tandem import QUERY, Stack, processes, wait_until

# Nobody waits for these to end.
SLOW = "flash.delay_ms=400 pro.delay_ms=20000 chunk_ms=0"
SLOWER = "delay_ms=20000 chunk_ms=0"
ENV = {"HEARTBEAT_MS": "200", "FLASH_TIMEOUT_S": "30"}
STACK = {"env": ENV}


@pytest.fixture(scope="module")
def apache():
    with Stack(web="apache2", env=ENV) as stack:
        yield stack


def ended(stack, run_id):
    wait_until(lambda: len(stack.ledger.kinds(run_id)) == 2, 20,
               "the second entry")
    return stack.ledger.end(run_id)


def leave(stack, stream, how, within, roles):
    """Closes and checks that these calls were dropped that soon."""
    before = stack.sim.stats()
    late = stack.lateness()
    left_at = time.time()
    getattr(stream, how)()
    wait_until(lambda: all(stack.sim.stats()[role]["aborted"] ==
                           before[role]["aborted"] + 1 for role in roles),
               20, f"{roles} to be dropped")
    after = stack.sim.stats()
    for role in roles:
        assert after[role]["last_abort_unix_us"] / 1e6 - left_at <= \
            within + late()
    for role in {"flash", "pro"} - set(roles):
        assert after[role]["aborted"] == before[role]["aborted"]


@pytest.mark.parametrize("how, goodbye", [
    ("http", "close"), ("http", "reset"), ("http2", "close"),
    ("fastcgi", "close")])
def test_leaving_before_the_first_answer_drops_both_calls(stack, how,
                                                          goodbye):
    stream = stack.open(sim=SLOWER, how=how).until_headers(20)
    time.sleep(0.1)
    leave(stack, stream, goodbye, 0.2, ["flash", "pro"])
    end = ended(stack, stream.run_id)
    assert end["status"] == "cancelled"
    assert end["client"]["left"] is True
    assert 50 <= end["client"]["left_after_ms"] < 20000
    assert end["client"]["last_seq"] == 0
    assert end["sent"] == []
    for role in ("flash", "pro"):
        assert end[role]["cancelled"] == "client"


@pytest.mark.parametrize("how", ["http", "http2"])
def test_leaving_between_the_answers_drops_the_accurate_call(stack, how):
    stream = stack.open(sim=SLOW, how=how)
    stream.until("preliminary", 20)
    leave(stack, stream, "close", 0.2, ["pro"])
    end = ended(stack, stream.run_id)
    assert end["status"] == "cancelled"
    assert end["salvage"] == "flash_only"
    assert [sent["event"] for sent in end["sent"]] == ["preliminary"]
    assert end["client"]["last_seq"] == 1
    assert end["flash"]["sent_ms"] >= 400
    assert end["pro"]["sent_ms"] is None
    content = stack.ledger.content(stream.run_id)
    assert content["flash"].decode() == \
        stream.data("preliminary")["response"]["content"]


def test_leaving_during_the_audit_write_still_leaves_a_record(stack):
    outcomes = {outcome: stack.metric("requests_total", outcome=outcome)
                for outcome in ("ok", "cancelled")}
    left_before = stack.metric("cancellations_total", reason="client")
    with contextlib.ExitStack() as lock:
        with stack.sim.held():  # before there is anything to write
            stream = stack.open(sim="flash.delay_ms=30 pro.delay_ms=800 "
                                    "chunk_ms=0").until_headers(20)
            lock.enter_context(stack.ledger.locked())
        stream.until("final", 20)
        time.sleep(0.1)
        stream.close()
        time.sleep(0.2)
    wait_until(lambda: "left" in stack.ledger.kinds(stream.run_id), 20,
               "the entry that says so")
    end = stack.ledger.end(stream.run_id)
    assert [sent["event"] for sent in end["sent"]] == ["preliminary", "final"]
    left = stack.ledger.entries(stream.run_id)[-1]["body"]
    assert left["kind"] == "left" and left["status"] == "cancelled"
    assert left["client"]["left"] is True
    assert left["client"]["last_seq"] == 2
    assert left["client"]["left_after_ms"] >= 800
    listed = stack.get("/api/experiments?limit=1").json()["experiments"][0]
    assert (listed["id"], listed["status"]) == (stream.run_id, "cancelled")
    wait_until(lambda: stack.metric("cancellations_total", reason="client") ==
               left_before + 1, 20, "the leaving to be counted")
    assert end["status"] == "ok", "what metrics count is what entries say"
    assert stack.metric("requests_total", outcome="ok") == outcomes["ok"] + 1
    assert stack.metric("requests_total", outcome="cancelled") == \
        outcomes["cancelled"]
    content = stack.ledger.content(stream.run_id)
    assert content["pro"].decode() == \
        stream.data("final")["response"]["content"]


def test_the_calls_are_dropped_although_the_record_has_to_wait(stack):
    stream = stack.open(sim=SLOWER).until_headers(20)
    with stack.ledger.locked():
        leave(stack, stream, "close", 0.2, ["flash", "pro"])
    assert ended(stack, stream.run_id)["status"] == "cancelled"


def test_a_client_that_has_left_while_it_waited_gets_no_run():
    with Stack(web=None, env={"STREAM_WORKERS_MIN": "1",
                              "STREAM_WORKERS_MAX": "1"}) as stack:
        before = len(stack.ledger.runs("accepted"))
        stream = stack.open(sim=SLOW)
        stream.close()
        wait_until(lambda: stack.metric("workers_busy", pool="stream") == 0,
                   20, "the worker to be idle")
        accepted = stack.ledger.runs("accepted")
        assert len(accepted) - before <= 1
        for run_id in accepted:  # it may just have been let in
            assert ended(stack, run_id)["status"] == "cancelled"


def test_a_cancelled_run_is_counted_and_warned_of(stack):
    before = stack.metric("cancellations_total", reason="client")
    stream = stack.open(sim=SLOW).until_headers(20)
    stream.close()
    ended(stack, stream.run_id)
    wait_until(lambda: stack.metric("cancellations_total",
                                    reason="client") == before + 1, 20)
    assert stack.metric("timeouts_total") == 0


def test_behind_apache_leaving_is_noticed_within_a_few_heartbeats(apache):
    stream = apache.open(sim=SLOW)
    stream.until("preliminary", 20)
    # Two heartbeats of 0.2 s, one more for the moment within the first.
    leave(apache, stream, "close", 0.7, ["pro"])
    end = ended(apache, stream.run_id)
    assert end["status"] == "cancelled"
    assert [sent["event"] for sent in end["sent"]] == ["preliminary"]


def test_a_half_closed_client_is_treated_as_gone(stack):

    stream = stack.open(sim=SLOW).until_headers(20)
    stream.socket.shutdown(socket.SHUT_WR)
    assert ended(stack, stream.run_id)["status"] == "cancelled"
    stream.close()


def test_a_client_half_closed_before_its_run_is_told_so():
    with Stack(web=None, env={"STREAM_WORKERS_MIN": "2",
                              "STREAM_WORKERS_SPARE": "2"}) as stack:
        wait_until(lambda: stack.metric("workers_total", pool="stream") ==
                   len(stack.workers("stream")) == 2, 20, "both workers")
        workers = stack.workers("stream")
        for pid in workers:  # until the query and its end are both there
            os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: all(processes()[pid][1] == "T" for pid in workers),
                   20, "all workers to stand still")
        exchange = stack.open(sim=SLOW, how="fastcgi")
        exchange.socket.shutdown(socket.SHUT_WR)
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        exchange.finish(20)
        assert exchange.status == 400
        assert exchange.json()["code"] == "client_gone"
        assert stack.ledger.runs("accepted") == []
        wait_until(lambda: stack.metric("requests_total",
                                        outcome="rejected") == 1, 20)


def test_an_upload_that_is_broken_off_never_becomes_a_run(stack):
    before = len(stack.ledger.runs("accepted"))
    exchange = stack.http("POST", QUERY, raw=(
        b"POST /api/reasoning/query HTTP/1.1\r\nHost: x\r\n"
        b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        b'{"query": "half'))
    exchange.close()
    assert stack.get("/livez").status == 200
    assert len(stack.ledger.runs("accepted")) == before
