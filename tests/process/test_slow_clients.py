"""Clients that are slow, or that only hold a connection."""

import contextlib
import itertools
import resource
import select
import socket
import time

import pytest

from exchange import fcgi_params, fcgi_record
from tandem import QUERY, Stack, drain, wait_until

FAST = "flash.delay_ms=10 pro.delay_ms=30 chunk_ms=0"
LONG = "flash.delay_ms=0 pro.delay_ms=200 chunk_ms=0 text_bytes=1000000"
ENV = {"STREAM_WORKERS_MIN": "6", "STREAM_WORKERS_MAX": "12"}


def sip(streams, seconds):
    """Reads one byte of each a second."""
    for one in streams:
        one.gulp = 1
    for _ in range(seconds):
        for one in streams:
            one.pump()
        time.sleep(1)
    for one in streams:
        del one.gulp


def test_who_does_not_read_a_replay_holds_no_worker_past_the_deadline():
    with Stack(web=None, env={**ENV, "RUN_DEADLINE_S": "3",
                              "AUDIT_SHARE_S": "0.5"}) as stack:
        key = {"Idempotency-Key": "long"}
        assert stack.ask(sim=LONG, headers=key).names()[-1] == "done"
        again = stack.open(sim=LONG, headers=key)
        stack.log.wait_for(20, event="replay_not_sent")
        assert stack.log.lines(event="child_overdue") == []
        again.close()
        assert stack.metric("worker_restarts_total", reason="crashed") == 0


def test_who_reads_a_byte_a_second_holds_one_worker_and_that_not_for_long():
    """Past a web server that would take the answer off the worker's hands."""
    with Stack(web=None, env=ENV) as stack:
        slow = []
        for _ in range(4):
            slow.append(stack.open(sim=LONG))
            slow[-1].socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        wait_until(lambda: stack.metric("workers_busy", pool="stream") == 4,
                   20, "four workers to be held")
        sip(slow, 1)
        assert stack.metric("workers_busy", pool="stream") == 4
        late = stack.lateness()
        beside = stack.ask(sim=FAST)
        assert beside.names() == ["preliminary", "final", "done"]
        assert beside.ended_at < 0.5 + late()
        assert stack.control("/livez").status == 200
        sip(slow, 6)
        wait_until(lambda: stack.metric("workers_busy", pool="stream") == 0,
                   20, "their workers to have given up")
        wait_until(lambda: stack.ledger.unpaired() == [], 20)
        run_ids = set(stack.ledger.runs("finished")) - {beside.run_id}
        assert len(run_ids) == 4
        for run_id in run_ids:  # it may be noticed while that is written
            assert stack.ledger.end(run_id)["status"] == "cancelled" or \
                "left" in stack.ledger.kinds(run_id)
        for one in slow:
            one.close()


def test_behind_the_web_server_a_slow_reader_holds_nobody():
    with Stack(env=ENV) as stack:
        slow = [stack.open(sim=LONG) for _ in range(5)]
        wait_until(lambda: len(stack.ledger.runs("finished")) == 5, 20,
                   "their runs to have ended")
        wait_until(lambda: stack.metric("workers_busy", pool="stream") == 0,
                   20, "all workers to be idle")
        sip(slow, 2)
        assert drain(slow, 40) == []
        for one in slow:
            assert one.names() == ["preliminary", "final", "done"]


def is_cut(connection):
    return bool(select.select([connection], [], [], 0)[0])


@pytest.mark.takes(240)
def test_a_client_that_stops_inside_its_request_is_cut():
    """The silent one by its time-out, the dripping one by the watchdog."""
    with Stack(web=None, env=ENV) as stack:
        stack.expect_errors |= {"child_overdue"}
        begin = fcgi_record(1, b"\0\1\0\0\0\0\0\0")
        params = fcgi_record(4, fcgi_params({"REQUEST_METHOD": "POST",
                                             "REQUEST_URI": QUERY}))
        late = stack.lateness()
        began = time.monotonic()
        silent, dripping = (socket.socket(socket.AF_UNIX) for _ in range(2))
        for one in (silent, dripping):
            one.settimeout(30)
            one.connect(str(stack.folder / "stream.sock"))
            one.sendall(begin)
        ended = {}
        drops = itertools.cycle(params)
        while len(ended) < 2 and time.monotonic() < began + 60:
            for name, one in (("silent", silent), ("dripping", dripping)):
                if name not in ended and is_cut(one):
                    ended[name] = time.monotonic() - began
            if "dripping" not in ended:
                with contextlib.suppress(BrokenPipeError):
                    dripping.sendall(bytes([next(drops)]))
            time.sleep(0.25)
        assert 4.5 < ended["silent"] < 6 + late()
        assert 34 < ended["dripping"] < 37 + late()
        stack.log.wait_for(20, event="child_overdue")
        wait_until(lambda: stack.metric("workers_busy", pool="stream") == 0,
                   20)
        assert stack.ask(sim=FAST).names()[-1] == "done"
        assert stack.ledger.runs("orphaned") == []
        silent.close()
        dripping.close()


@pytest.fixture
def many_descriptors():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_thousand_idle_connections_cost_no_worker(many_descriptors):
    with Stack(env=ENV) as stack:
        workers = set(stack.workers("stream"))
        idle = []
        for i in range(1000):
            idle.append(socket.create_connection(stack.address, 10))
            if i % 2:
                idle[-1].sendall(b"POST /api/reasoning/query HTTP/1.1\r\nHo")
        late = stack.lateness()
        answer = stack.ask(sim=FAST)
        assert answer.names() == ["preliminary", "final", "done"]
        assert answer.ended_at < 0.5 + late()
        wait_until(lambda: stack.metric("workers_busy", pool="stream") == 0,
                   20)
        assert workers <= set(stack.workers("stream"))
        assert stack.get("/livez").status == 200
        for one in idle:
            one.close()
