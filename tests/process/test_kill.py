"""kill -9 of any process: nothing accepted goes missing."""

import os
import signal
import time

from tandem import Stack, drain, session_of, wait_until

SLOW = "flash.delay_ms=50 pro.delay_ms=20000 chunk_ms=0"
FAST = "flash.delay_ms=10 pro.delay_ms=30 chunk_ms=0"


def worker_of(stack, run_id):
    """The pid that a run's accepted entry names."""
    return stack.ledger.entries(run_id)[0]["body"]["worker_pid"]


def test_a_killed_stream_worker_leaves_an_orphaned_entry_and_is_replaced():
    env = {"STREAM_WORKERS_MIN": "3", "STREAM_WORKERS_MAX": "3",
           "STREAM_WORKERS_SPARE": "1"}
    with Stack(env=env) as stack:
        stack.expect_errors |= {"child_died"}
        stream = stack.open(sim=SLOW)
        stream.until("preliminary", 20)
        victim = worker_of(stack, stream.run_id)
        late = stack.lateness()
        os.kill(victim, signal.SIGKILL)
        killed_at = time.monotonic()
        stream.finish(20)
        assert "done" not in stream.names()
        assert not stream.whole, "the client sees that it was cut"
        wait_until(lambda: stack.ledger.kinds(stream.run_id) ==
                   ["accepted", "orphaned"], 20, "the orphaned entry")
        assert time.monotonic() - killed_at < 2 + late()
        assert stack.ledger.rows(
            "SELECT status FROM entry WHERE run_id = ? AND kind = 'orphaned'",
            stream.run_id) != []
        streams = [stack.open(sim="flash.delay_ms=10 pro.delay_ms=800")
                   for _ in range(3)]
        assert drain(streams, 20) == []
        assert [one.names()[-1] for one in streams] == ["done"] * 3
        wait_until(lambda: stack.metric("worker_restarts_total",
                                        reason="crashed") == 1, 20)


def test_a_killed_scribe_loses_and_doubles_none_of_fifty_runs():
    env = {"STREAM_WORKERS_MIN": "50", "STREAM_WORKERS_MAX": "60"}
    with Stack(env=env) as stack:
        stack.expect_errors |= {"child_died"}
        streams = [stack.open(sim="flash.delay_ms=300 pro.delay_ms=1200 "
                                  "chunk_ms=0") for _ in range(50)]
        assert drain(streams, 20, lambda one: "preliminary" in
                     one.names()) == []
        scribe, = stack.workers("scribe")
        os.kill(scribe, signal.SIGKILL)
        assert drain(streams, 20) == []
        assert [one.names() for one in streams] == \
            [["preliminary", "final", "done"]] * 50
        run_ids = sorted(one.run_id for one in streams)
        assert len(set(run_ids)) == 50
        for kind in ("accepted", "finished"):
            assert sorted(stack.ledger.runs(kind)) == run_ids
        assert stack.ledger.runs("orphaned") == []
        for one in streams:
            assert one.data("done")["audit"]["state"] == "committed"
        assert stack.workers("scribe") != [scribe]


def test_a_scribe_killed_while_it_writes_loses_and_doubles_nothing():
    env = {"STREAM_WORKERS_MIN": "16", "STREAM_WORKERS_MAX": "32"}
    with Stack(web=None, env=env) as stack:
        stack.expect_errors |= {"child_died"}
        streams = []
        for kill in range(3):
            streams += [stack.open(sim="flash.delay_ms=5 pro.delay_ms=10 "
                                       "chunk_ms=0") for _ in range(15)]
            time.sleep(0.015 * kill)  # another moment of the writing each time
            os.kill(stack.workers("scribe")[-1], signal.SIGKILL)
            assert drain(streams, 20) == []
            wait_until(lambda: stack.workers("scribe"), 20, "a new scribe")
        assert [one.names()[-1:] for one in streams] == [["done"]] * 45
        finished = stack.ledger.runs("finished")
        assert sorted(finished) == sorted(one.run_id for one in streams)


def test_a_killed_master_leaves_no_process_and_no_run_without_an_end():
    with Stack() as stack:
        streams = [stack.open(sim=SLOW) for _ in range(4)]
        assert drain(streams, 20, lambda one: "preliminary" in
                     one.names()) == []
        late = stack.lateness()
        os.kill(stack.tandemd.pid, signal.SIGKILL)
        killed_at = time.monotonic()
        wait_until(lambda: not session_of(stack.tandemd.pid), 20,
                   "the last child to end")
        assert time.monotonic() - killed_at < 5 + late()
        assert drain(streams, 20) == []
        stack.tandemd.wait(20)
        stack.start_tandemd()
        wait_until(lambda: stack.ledger.unpaired() == [], 20,
                   "every run to have its second entry")
        for one in streams:
            assert stack.ledger.kinds(one.run_id)[0] == "accepted"
        assert stack.ask(sim=FAST).names()[-1] == "done"


def test_a_worker_that_dies_again_and_again_does_not_take_the_machine():
    with Stack(web=None, env={"STREAM_WORKERS_MIN": "1",
                              "STREAM_WORKERS_MAX": "2"}) as stack:
        stack.expect_errors |= {"child_died"}
        for _ in range(3):
            stream = stack.open(sim=SLOW)
            stream.until("preliminary", 20)
            os.kill(worker_of(stack, stream.run_id), signal.SIGKILL)
        assert stack.control("/livez").status == 200
        answer = stack.open(sim=FAST).finish(20)
        assert answer.names()[-1] == "done"
        wait_until(lambda: len(stack.ledger.runs("orphaned")) == 3, 20)
