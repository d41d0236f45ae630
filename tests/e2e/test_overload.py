"""Too many callers are an answer, not an accident."""

import math
import threading
import time

import pytest

from tandem import Stack, drain, wait_until

FAST = "flash.delay_ms=10 pro.delay_ms=30 chunk_ms=0"
TWO_SECONDS = "flash.delay_ms=200 pro.delay_ms=2000 chunk_ms=0"
ENV = {"STREAM_WORKERS_MIN": "200", "STREAM_WORKERS_MAX": "200",
       "FLASH_TIMEOUT_S": "30"}  # of a crowd on one machine


def p99(values):
    ordered = sorted(values)
    return ordered[math.ceil(len(ordered) * 0.99) - 1]


def has_begun(stream):
    return "preliminary" in stream.names()


class Prober(threading.Thread):
    """Asks /livez again and again and notes how long each answer took."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.stack = stack
        self.took = []
        self.failed = []
        self.stopped = threading.Event()

    def run(self):
        late = self.stack.lateness(["control"])
        while not self.stopped.wait(0.02):
            late.renew()
            began = time.monotonic()
            try:
                answer = self.stack.get("/livez")
                if answer.status != 200:
                    self.failed.append(answer)
            except (OSError, AssertionError) as error:
                self.failed.append(error)
            self.took.append(time.monotonic() - began - late())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.join(15)


@pytest.fixture(scope="module")
def crowded():
    with Stack(env=ENV) as stack:
        yield stack


def test_two_hundred_streams_at_once_all_end_in_done(crowded):
    streams = [crowded.open(sim=TWO_SECONDS) for _ in range(200)]
    assert drain(streams, 40) == []
    assert [one.names() for one in streams] == \
        [["preliminary", "final", "done"]] * 200
    finished = set(crowded.ledger.runs("finished"))
    assert {one.run_id for one in streams} <= finished


def test_a_hundred_more_are_told_at_once_and_health_answers_throughout(
        crowded):
    crowded.sim.set(flash_delay_ms=200, pro_delay_ms=8000, chunk_ms=0)
    accepted = len(crowded.ledger.runs("accepted"))
    refused_before = crowded.metric("overloaded_total")
    rejected_before = crowded.metric("requests_total", outcome="rejected")
    with Prober(crowded) as prober:
        streams = [crowded.open() for _ in range(200)]
        assert drain(streams, 20, has_begun) == []
        with crowded.sim.held():
            refused, took = [], []
            late = crowded.lateness([])
            for _ in range(100):
                late.renew()
                refused.append(crowded.open())
                assert drain(refused[-1:], 20) == []
                took.append(refused[-1].ended_at - late())
            wait_until(lambda: len(prober.took) > 50, 20, "enough probes")
            assert not any(one.ended_at for one in streams), \
                "all were busy all the time"
        assert drain(streams, 40) == []
    crowded.sim.reset()
    assert [one.status for one in streams] == [200] * 200
    assert [one.names()[-1] for one in streams] == ["done"] * 200
    for one in refused:
        assert one.status == 503
        assert one.json()["code"] == "overloaded"
        assert int(one.headers["retry-after"]) > 0
    assert p99(took) <= 0.05, sorted(took)[-5:]
    assert prober.failed == []
    assert p99(prober.took) <= 0.05, sorted(prober.took)[-5:]
    assert len(crowded.ledger.runs("accepted")) == accepted + 200
    assert crowded.metric("overloaded_total") == refused_before + 100
    assert crowded.metric("requests_total", outcome="rejected") == \
        rejected_before + 100


def test_a_crowd_that_comes_at_once_is_refused_too(crowded):
    crowded.sim.set(flash_delay_ms=100, pro_delay_ms=8000, chunk_ms=0)
    streams = [crowded.open() for _ in range(200)]
    assert drain(streams, 20, has_begun) == []
    with crowded.sim.held():
        crowd = [crowded.open() for _ in range(100)]
        assert drain(crowd, 20) == []
    assert [one.status for one in crowd] == [503] * 100
    assert drain(streams, 40) == []
    crowded.sim.reset()


def test_as_many_callers_as_workers_are_never_told_that_all_are_busy():
    """Each asks again as soon as it has seen its end."""
    instant = "delay_ms=0 chunk_ms=0 chunks=1"
    with Stack(web=None, env={"STREAM_WORKERS_MIN": "4",
                              "STREAM_WORKERS_MAX": "4"}) as stack:
        for _ in range(400):
            streams = [stack.open(sim=instant) for _ in range(4)]
            assert drain(streams, 40) == []
            assert [one.status for one in streams] == [200] * 4
        assert stack.metric("overloaded_total") == 0


def test_workers_come_with_the_crowd_and_go_when_it_has_gone():
    with Stack(web=None, env={
            "STREAM_WORKERS_MIN": "2", "STREAM_WORKERS_MAX": "24",
            "STREAM_WORKERS_SPARE": "2", "WORKER_IDLE_S": "0.3"}) as stack:
        def count():
            return stack.metric("workers_total", pool="stream")
        wait_until(lambda: 2 <= count() <= 4, 20)
        streams = []
        for _ in range(20):
            streams.append(stack.open(sim=TWO_SECONDS))
            time.sleep(0.02)
        assert drain(streams, 40) == []
        assert [one.status for one in streams] == [200] * 20
        wait_until(lambda: count() <= 4, 20, "surplus workers to leave")
        assert stack.ask(sim=FAST).names()[-1] == "done"
