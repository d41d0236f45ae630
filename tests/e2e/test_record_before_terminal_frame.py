"""`done` is a receipt: nothing that ends a stream comes before its record.

A lock on the ledger's file stands for a slow disk: while the test holds it,
nobody can commit.
"""

import contextlib

import pytest

from tandem import Stack, TooLate, wait_until

FAST = "flash.delay_ms=30 pro.delay_ms=500 chunk_ms=0"
PRO_FAILS_FIRST = ("flash.delay_ms=500 pro.delay_ms=30 chunk_ms=0 "
                   "pro.fault=cut")
STACK = {"web": None, "env": {"HEARTBEAT_MS": "100"}}

CASES = [
    # vocabulary, what modelsim does, before the record, after it
    ("classic", FAST, ["preliminary", "final"], ["done"]),
    ("classic", f"{FAST} pro.fault=cut", ["preliminary"], ["error", "done"]),
    ("staged", FAST, ["start", "flash_complete", "pro_complete"],
     ["complete", "done"]),
    ("staged", f"{FAST} pro.fault=cut", ["start", "flash_complete"],
     ["error", "complete", "done"]),
    ("staged", f"{FAST} fault=cut", ["start", "model_error"],
     ["error", "done"]),
    ("staged", PRO_FAILS_FIRST, ["start", "flash_complete"],
     ["error", "complete", "done"]),
    ("classic", PRO_FAILS_FIRST, ["error", "preliminary"], ["done"]),
    ("both", FAST, ["start", "preliminary", "flash_complete", "final",
                    "pro_complete"], ["complete", "done"]),
]


@contextlib.contextmanager
def nothing_to_write_yet(stack, **query):
    """A run whose accepted entry is written, and then nothing can be."""
    with contextlib.ExitStack() as lock:
        with stack.sim.held():
            stream = stack.open(**query).until_headers(20)
            lock.enter_context(stack.ledger.locked())
        yield stream


@pytest.mark.parametrize("events, sim, before, after", CASES)
def test_the_terminal_frame_waits_for_the_record(stack, events, sim, before,
                                                 after):
    with nothing_to_write_yet(stack, sim=sim, events=events) as stream:
        stream.until(before[-1], 20)
        stream.until_beats(5, 20)  # they go on meanwhile
        assert stream.names() == before
        assert stack.ledger.kinds(stream.run_id) == ["accepted"]
    stream.finish(20)
    assert stream.names() == before + after
    assert stream.data("done")["audit"]["state"] == "committed"


@pytest.mark.parametrize("events, terminal", [
    ("classic", "done"), ("staged", "complete"), ("both", "complete")])
def test_whoever_sees_the_terminal_frame_can_read_the_record(stack, events,
                                                             terminal):
    for _ in range(10):
        stream = stack.open(sim="delay_ms=1 chunk_ms=0", events=events)
        stream.until(terminal, 20)
        assert stack.ledger.kinds(stream.run_id)[1:] == ["finished"]
        stream.finish(20)


def test_no_tokens_are_bought_before_the_run_is_recorded(stack):
    before = stack.sim.stats()
    with stack.ledger.locked():
        stream = stack.open(sim=FAST)
        with pytest.raises(TooLate):
            stream.until_headers(0.4)
        now = stack.sim.stats()
        assert now["flash"]["requests"] == before["flash"]["requests"]
        assert now["pro"]["requests"] == before["pro"]["requests"]
    stream.finish(20)
    assert stream.status == 200
    assert stream.names()[-1] == "done"


def test_what_cannot_be_recorded_is_refused_at_the_door():
    with Stack(web=None, env={"AUDIT_POLICY": "closed"}) as own:
        # The stop comes within the minute in which nobody tries again.
        own.expect_errors |= {"audit_unavailable", "scribe_end_failed"}
        with own.ledger.locked():
            late = own.lateness()
            answer = own.open(sim=FAST).finish(60)
            assert answer.ended_at < 13 + late(), "after all attempts"
        assert answer.status == 503
        assert answer.json()["code"] == "audit_unavailable"
        assert int(answer.headers["retry-after"]) > 0
        assert own.sim.stats()["flash"]["requests"] == 0


def test_a_record_that_comes_too_late_is_told_as_failed():
    with Stack(web=None, env={"RUN_DEADLINE_S": "3",
                              "AUDIT_SHARE_S": "0.5"}) as own:
        own.expect_errors |= {"audit_lost"}
        late = own.lateness()
        with nothing_to_write_yet(own, sim=FAST) as stream:
            stream.finish(20)
            assert stream.ended_at < 4 + late(), \
                "one second after the deadline"
        assert stream.names() == ["preliminary", "final", "error", "done"]
        assert stream.data("error")["code"] == "audit_unavailable"
        assert stream.data("done")["audit"]["state"] == "failed"
        assert own.metric("requests_total", outcome="unrecorded") == 1
        assert own.tandemctl("spool", "drain").returncode == 0
        wait_until(lambda: own.ledger.unpaired() == [], 20,
                   "the end that came too late")
