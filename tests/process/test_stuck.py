"""Processes that hang without dying, sockets that vanish: runs end all the same."""

import contextlib
import os
import signal
import time

import pytest

from tandem import Stack, TooLate, drain, wait_until

FAST = "flash.delay_ms=10 pro.delay_ms=30 chunk_ms=0"
SLOW = "flash.delay_ms=50 pro.delay_ms=20000 chunk_ms=0"


def worker_of(stack, run_id):
    return stack.ledger.entries(run_id)[0]["body"]["worker_pid"]


def test_a_stopped_worker_costs_its_run_and_no_more_than_a_second():
    env = {"STREAM_WORKERS_MIN": "2", "STREAM_WORKERS_MAX": "4",
           "RUN_DEADLINE_S": "3", "AUDIT_SHARE_S": "0.5"}
    with Stack(env=env) as stack:
        stack.expect_errors |= {"child_overdue"}
        late = stack.lateness()
        stuck = stack.open(sim=SLOW)
        stuck.until("preliminary", 20)
        os.kill(worker_of(stack, stuck.run_id), signal.SIGSTOP)
        beside = stack.ask(sim=FAST)
        assert beside.names() == ["preliminary", "final", "done"]
        stuck.finish(20)
        assert 3.0 < stuck.ended_at < 4.0 + late(), \
            "one second after the deadline"
        assert "done" not in stuck.names() and not stuck.whole
        wait_until(lambda: stack.ledger.kinds(stuck.run_id) ==
                   ["accepted", "orphaned"], 20, "the orphaned entry")
        wait_until(lambda: stack.metric("workers_total", pool="stream") >= 2,
                   20, "the pool to be whole")
        assert stack.ask(sim=FAST).names()[-1] == "done"


@pytest.mark.parametrize("name", ["scribe", "stream", "control"])
def test_a_socket_that_somebody_deletes_comes_back_by_itself(name):
    with Stack(web=None) as stack:
        stack.expect_errors |= {"audit_unavailable"}
        stream = stack.open(sim="flash.delay_ms=50 pro.delay_ms=1000")
        stream.until("preliminary", 20)
        (stack.folder / f"{name}.sock").unlink()

        def works():
            with contextlib.suppress(OSError, TooLate):
                return stack.control("/readyz").status == 200 and \
                    stack.open(sim=FAST).finish(20).status == 200
        wait_until(works, 60, "a way in")
        assert stack.log.lines(event="socket_renewed")
        assert stream.finish(20).names()[-1] == "done"
        assert stack.ledger.unpaired() == []


def test_a_scribe_that_stands_still_for_five_seconds_loses_nobody():
    env = {"STREAM_WORKERS_MIN": "12", "STREAM_WORKERS_MAX": "24",
           "HEARTBEAT_MS": "500"}
    with Stack(env=env) as stack:
        streams = [stack.open(sim="flash.delay_ms=50 pro.delay_ms=1500 "
                                  "chunk_ms=0") for _ in range(10)]
        assert drain(streams, 20, lambda one: "preliminary" in
                     one.names()) == []
        scribe, = stack.workers("scribe")
        os.kill(scribe, signal.SIGSTOP)
        stopped_at = time.monotonic()
        try:
            assert drain(streams, 20,
                         lambda one: "final" in one.names()) == []
            for one in streams:
                one.until_beats(4, 20)  # they go on
            missing = drain(streams, stopped_at + 5 - time.monotonic())
            assert missing == streams, "no end without a record"
            assert stack.control("/livez").status == 200
        finally:
            os.kill(scribe, signal.SIGCONT)
        assert drain(streams, 20) == []
        for one in streams:
            assert one.names() == ["preliminary", "final", "done"]
            assert one.data("done")["audit"]["state"] == "committed"
            assert stack.ledger.kinds(one.run_id) == ["accepted", "finished"]
        assert stack.workers("scribe") == [scribe]
