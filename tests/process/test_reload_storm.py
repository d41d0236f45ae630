"""Reloads that come too fast, and a stop in the middle of one."""

import signal
import time

import pytest

from tandem import Stack, drain, wait_until

STREAM = "flash.delay_ms=30 pro.delay_ms=400 chunk_ms=0"
FAST = "flash.delay_ms=10 pro.delay_ms=30 chunk_ms=0"
ENV = {"STREAM_WORKERS_MIN": "8", "STREAM_WORKERS_MAX": "24"}
DONE = ["preliminary", "final", "done"]


def keep_asking(stack, streams, until):
    """Eight at a time, to the end of the time; new ones as others end."""
    while time.monotonic() < until:
        open_now = [one for one in streams if one.ended_at is None]
        streams += [stack.open(sim=STREAM) for _ in range(8 - len(open_now))]
        open_now = [one for one in streams if one.ended_at is None]
        drain(open_now, 0.01)


@pytest.mark.takes(240)
def test_twenty_five_reloads_under_load_cut_no_stream():
    with Stack(env=ENV, config={"GEMINI_FLASH_MODEL": "gemini-0"}) as stack:
        streams = []
        for i in range(1, 26):
            stack.write_config(GEMINI_FLASH_MODEL=f"gemini-{i}")
            stack.tandemd.send(signal.SIGHUP)
            keep_asking(stack, streams, time.monotonic() + 0.01 * (i * 7 % 30))
        keep_asking(stack, streams, time.monotonic() + 0.5)
        assert drain(streams, 20) == []
        assert len(streams) > 25
        assert [one.names() for one in streams] == [DONE] * len(streams)
        assert all(one.data("done")["status"] == "ok" for one in streams)

        def is_last_generation():
            answer = stack.ask(sim=FAST)
            return answer.data("preliminary")["response"]["model"] == \
                "gemini-25"
        wait_until(is_last_generation, 20, "the last file to be in force")
        begun = stack.log.lines(event="reload_started")
        wait_until(lambda: len(stack.log.lines(event="reload_finished")) ==
                   len(begun), 20, "the last reload to end")
        assert stack.log.lines(event="reload_abandoned") == []
        assert len(stack.workers("scribe")) == 1
        assert len(stack.workers("control")) == 2
        assert stack.metric("worker_restarts_total", reason="crashed") == 0


@pytest.mark.parametrize("wait_ms", [0, 5, 30, 120])
def test_a_stop_in_the_middle_of_a_reload_cuts_no_stream(wait_ms):
    with Stack(web=None, env=ENV) as stack:
        streams = [stack.open(sim="flash.delay_ms=30 pro.delay_ms=1000")
                   for _ in range(8)]
        assert drain(streams, 20,
                     lambda one: "preliminary" in one.names()) == []
        stack.tandemd.send(signal.SIGHUP)
        time.sleep(wait_ms / 1000)  # another moment of the reload each time
        stack.tandemd.send(signal.SIGTERM)
        assert drain(streams, 20) == []
        assert [one.names() for one in streams] == [DONE] * 8
        assert stack.tandemd.wait(20) == 0
        assert stack.ledger.unpaired() == []
