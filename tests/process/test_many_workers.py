"""As many workers as a busy host needs: kernels have limits that few meet."""

import pytest

from tandem import Stack, wait_until

WORKERS = 600  # more than 500 processes that wait for the same master


@pytest.mark.takes(240)
def test_six_hundred_workers_start_and_leave():
    with Stack(env={"STREAM_WORKERS_MIN": str(WORKERS),
                    "STREAM_WORKERS_MAX": str(WORKERS)}) as stack:
        wait_until(lambda: len(stack.workers("stream")) >= WORKERS, 60,
                   "all workers")
        assert stack.ask(sim="delay_ms=0").names()[-1] == "done"
        assert stack.log.lines(event="child_start_failed") == []
