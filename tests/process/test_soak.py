"""Many requests leave nothing behind.

TANDEM_SOAK_REQUESTS changes their number (10,000); TANDEM_BUILD_ASAN names the
folder of the build with sanitizers; TANDEM_VALGRIND asks for valgrind too,
which takes minutes.
"""

import os
import pathlib
import re
import time

import pytest

from tandem import ROOT, Stack, drain, wait_until

REQUESTS = int(os.environ.get("TANDEM_SOAK_REQUESTS", "10000"))
AT_ONCE = 8
INSTANT = "delay_ms=0 chunk_ms=0 chunks=2"


def status_kb(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise AssertionError(name)


def open_fds(pid):
    """Descriptors; only the size of their table where /proc says no more."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        return status_kb(pid, "FDSize")


def ask_many(stack, count, **more):
    """AT_ONCE at a time; all of them have to end well."""
    while count > 0:
        streams = [stack.open(sim=INSTANT, **more)
                   for _ in range(min(AT_ONCE, count))]
        count -= len(streams)
        assert drain(streams, 20) == []
        for stream in streams:
            assert stream.names()[-1:] == ["done"], stream


def usage(stack):
    """{pid: (memory in kB, descriptors)} of the stream workers."""
    return {pid: (status_kb(pid, "RssAnon"), open_fds(pid))
            for pid in stack.workers("stream")}


@pytest.mark.takes(300)
def test_memory_and_descriptors_of_workers_are_flat():
    env = {"STREAM_WORKERS_MIN": str(AT_ONCE), "STREAM_WORKERS_SPARE": "1",
           "STREAM_WORKERS_MAX": str(AT_ONCE * 4),
           "MAX_REQUESTS_PER_WORKER": "0", "WORKER_IDLE_S": "600"}
    with Stack(web=None, env=env) as stack:
        ask_many(stack, REQUESTS // 5)
        before = usage(stack)
        ask_many(stack, REQUESTS - REQUESTS // 5)
        after = usage(stack)
        assert len(stack.ledger.runs("finished")) == REQUESTS
        assert set(before) <= set(after), "no worker was replaced"
        # The idlest worker may have learned little before.
        most = [max(values) for values in zip(*before.values())]
        for memory, descriptors in after.values():
            if not stack.is_sanitized():  # ASan keeps what was freed
                assert memory < most[0] + 512, (before, after)
            assert descriptors <= most[1], (before, after)
        assert stack.metric("worker_restarts_total") == 0


def test_a_worker_leaves_after_its_number_of_requests_and_is_replaced():
    env = {"STREAM_WORKERS_MIN": "2", "STREAM_WORKERS_MAX": "32",
           "MAX_REQUESTS_PER_WORKER": "10"}
    with Stack(web=None, env=env) as stack:
        ask_many(stack, 100)
        assert stack.metric("worker_restarts_total", reason="orderly") >= 5
        assert stack.metric("worker_restarts_total", reason="crashed") == 0
        assert len(stack.ledger.runs("finished")) == 100


SUPPRESSIONS = f"--suppressions={ROOT}/tests/support/valgrind.supp"
KINDS = ["", "flash.fault=cut", "pro.fault=error_tail", "fault=status",
         "pro.fault=reset", "flash.fault=empty", "text_bytes=100000",
         "fault=finish_each"]
MIXED = {"STREAM_WORKERS_MIN": str(AT_ONCE),
         "STREAM_WORKERS_MAX": str(AT_ONCE * 4),
         "MAX_REQUESTS_PER_WORKER": "100", "DRAIN_S": "30",
         "MODEL_RETRY_DELAY_S": "0.01"}


def ask_of_every_kind(stack, count):
    for round_ in range(count // AT_ONCE):
        events = ("classic", "staged", "both")[round_ % 3]
        streams = [stack.open(f"round {round_}", sim=f"{INSTANT} {kind}",
                              events=events) for kind in KINDS]
        if round_ % 10 == 0:
            streams.pop().close()  # one who leaves
        assert drain(streams, 60) == []
        for stream in streams:
            assert stream.names()[-1:] == ["done"], stream
        if round_ % 20 == 0:
            for path in ("/metrics", "/health", "/api/experiments",
                         "/nothing"):
                stack.control(path)
    wait_until(lambda: stack.ledger.unpaired() == [], 20)


@pytest.mark.takes(300)
def test_a_thousand_requests_of_every_kind_under_sanitizers():
    build = os.environ.get("TANDEM_BUILD_ASAN")
    if not build:
        pytest.skip("TANDEM_BUILD_ASAN does not name a build")
    with Stack(web=None, env=MIXED, build=ROOT / build) as stack:
        ask_of_every_kind(stack, 1000)


@pytest.mark.takes(900)
def test_a_thousand_requests_of_every_kind_under_valgrind():
    if not os.environ.get("TANDEM_VALGRIND"):
        pytest.skip("TANDEM_VALGRIND is not set")
    with Stack(web=None, env=MIXED, under=[
            "valgrind", "-q", "--leak-check=full", "--error-exitcode=99",
            "--show-leak-kinds=definite,indirect", SUPPRESSIONS]) as stack:
        ask_of_every_kind(stack, 1000)
        stack.stop_tandemd(60)
        found = re.findall(r"^==\d+== .*", stack.tandemd.text(), re.M)
        assert not found, "\n".join(found[:100])


def test_steady_load_is_served_steadily():
    """No answer is held up by a commit, a fork or a log line."""
    with Stack(web=None) as stack:
        took = []
        late = stack.lateness()
        for _ in range(100):
            late.renew()
            began = time.monotonic()
            stack.ask(sim=INSTANT)
            took.append(time.monotonic() - began - late())
        assert sorted(took)[50] < 0.05, sorted(took)[50]
        assert max(took) < 1.0
