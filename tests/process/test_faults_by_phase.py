"""Each fault strikes runs in every phase at once: how each of them ends, when,
and what is still paid for.

asked       both models were asked, nothing has come
answered    the fast answer is out, the accurate model thinks
answering   the fast answer is out, the accurate one is half here
recording   both are out, the record is being written
"""

import contextlib
import itertools
import os
import signal
import time

import pytest

from tandem import Stack, drain, wait_until

DEADLINE_S = 5       # of a run; models have two seconds less
SPOOL_BY_S = 10      # the deadline where the ledger stays away
BUSY_S = 0.3         # the ledger, after the fault
PHASES = {           # what modelsim does, and when a stream is in the phase
    "asked": ("flash.delay_ms=2000 pro.delay_ms=2500",
              lambda stream: stream.status == 200),
    "answered": ("flash.delay_ms=0 pro.delay_ms=2500",
                 lambda stream: "preliminary" in stream.names()),
    "answering": ("flash.delay_ms=100 pro.delay_ms=0 pro.chunk_ms=250",
                  lambda stream: "preliminary" in stream.names()),
    "recording": ("flash.delay_ms=0 pro.delay_ms=300",
                  lambda stream: "final" in stream.names()),
}

# How a run ends: its events, two errors as one (a client is owed one when there
# is no answer at all), and the status in its last entry.
ALL = ["preliminary", "final", "done"]
WHOLE = {phase: (ALL, "ok") for phase in PHASES}
CANCELLED = {"asked": ([], "cancelled"),
             "answered": (["preliminary"], "cancelled"),
             "answering": (["preliminary"], "cancelled"),
             "recording": (["preliminary", "final"], "ok")}
# The record of the last may have been on its way.
ORPHANED = {"asked": ([], "orphaned"),
            "answered": (["preliminary"], "orphaned"),
            "answering": (["preliminary"], "orphaned"),
            "recording": (["preliminary", "final"], "ok", "orphaned")}
HALF = ["preliminary", "error", "done"]
FAILED = {"asked": (["error", "done"], "error"),
          "answered": (HALF, "error"), "answering": (HALF, "error"),
          "recording": (ALL, "ok")}
LATE = {"asked": (["error", "done"], "timeout"),
        "answered": (HALF, "timeout"), "answering": (HALF, "timeout"),
        "recording": (ALL, "ok")}


def leave(_stack, streams):
    for stream in streams.values():
        stream.close()


def kill_workers(stack, streams):
    for stream in streams.values():
        accepted = stack.ledger.entries(stream.run_id)[0]
        os.kill(accepted["body"]["worker_pid"], signal.SIGKILL)


def kill_scribe(stack, _streams):
    os.kill(stack.workers("scribe")[0], signal.SIGKILL)


def hold_ledger(stack, streams):
    """As long as somebody listens."""
    drain(streams.values(), SPOOL_BY_S + 5)


def tell(process, number):
    return lambda stack, _: getattr(stack, process).send(number)


# What strikes, how the runs end, and the calls that are dropped of each model;
# None: nobody is left to count.
FAULTS = {
    "the client leaves": (leave, CANCELLED, (1, 3)),
    "the worker is killed": (kill_workers, ORPHANED, (1, 3)),
    "the scribe is killed": (kill_scribe, WHOLE, (0, 0)),
    "the ledger is away": (hold_ledger, WHOLE, (0, 0)),
    "the service reloads": (tell("tandemd", signal.SIGHUP), WHOLE, (0, 0)),
    "the service is to stop": (tell("tandemd", signal.SIGTERM), WHOLE, (0, 0)),
    "the provider dies": (tell("modelsim", signal.SIGKILL), FAILED, None),
    "the provider is still": (tell("modelsim", signal.SIGSTOP), LATE, None),
}


@contextlib.contextmanager
def in_their_phases(stack):
    """Runs, one in each phase; meanwhile the ledger is busy."""
    with contextlib.ExitStack() as lock:
        with stack.sim.held():
            streams = {phase: stack.open(sim=f"chunk_ms=0 {sim}")
                       for phase, (sim, _) in PHASES.items()}
            assert drain(streams.values(), 20, lambda one: one.status) == []
            lock.enter_context(stack.ledger.locked())
        for phase, (_, is_in) in PHASES.items():
            assert drain([streams[phase]], 20, is_in) == []
        yield streams


def judge(stack, streams, ends, latest_s):
    for phase, stream in streams.items():
        events, *statuses = ends[phase]
        told = [name for name, _ in itertools.groupby(stream.names())]
        assert told == events, phase
        assert all(event.at <= latest_s for event in stream.events), phase
        assert stream.whole == (events[-1:] == ["done"]), phase
        if stream.whole:
            assert stream.data("done")["audit"]["state"] in ("committed",
                                                             "spooled"), phase
        wait_until(lambda: len(stack.ledger.kinds(stream.run_id)) > 1, 20,
                   "the run's last entry")
        assert stack.ledger.end(stream.run_id)["status"] in statuses, phase


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_ends_as_its_phase_allows(fault):
    strike, ends, dropped = FAULTS[fault]
    deadline_s = SPOOL_BY_S if strike is hold_ledger else DEADLINE_S
    with Stack(env={"RUN_DEADLINE_S": str(deadline_s)}) as stack:
        stack.expect_errors |= {"child_died", "scribe_start_failed"}
        late = stack.lateness()
        with in_their_phases(stack) as streams:
            strike(stack, streams)
            time.sleep(BUSY_S)
        if strike is not leave:
            assert drain(streams.values(), deadline_s + 10) == []
        if strike is hold_ledger:
            assert stack.tandemctl("spool", "drain").returncode == 0
        judge(stack, streams, ends, deadline_s + 1 + late())
        if dropped:
            wait_until(lambda: tuple(
                stack.sim.stats()[role]["aborted"]
                for role in ("flash", "pro")) == dropped, 20,
                f"{dropped} calls to be dropped")
        stack.modelsim.kill_all()
