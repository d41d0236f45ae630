"""Many clients at once, most of them rude, and models that fail in every way.

SOAK_S is how long that lasts (120 s); `make soak` takes half an hour.
SOAK_SEED repeats a run: what the dice say is printed, though not how the
machine interleaves it.
"""

import json
import os
import pathlib
import random

import pytest

from crowd import AT_ONCE, Crowd
from tandem import Stack, session_of, wait_until

SOAK_S = float(os.environ.get("SOAK_S", "120"))
SEED = int(os.environ.get("SOAK_SEED", random.randrange(1 << 32)))
ENV = {"STREAM_WORKERS_MIN": str(AT_ONCE + 10),
       "STREAM_WORKERS_MAX": str(AT_ONCE + 10),
       "MAX_REQUESTS_PER_WORKER": "0", "LOG_LEVEL": "INFO",
       "FLASH_TIMEOUT_S": "0.8", "PRO_TIMEOUT_S": "1.5",
       "RUN_DEADLINE_S": "6", "AUDIT_SHARE_S": "3", "HEARTBEAT_MS": "300",
       "MODEL_RETRY_DELAY_S": "0.05", "PRO_FALLBACK_MODEL": "spare-pro",
       "BREAKER_FAILURES": "2", "BREAKER_OPEN_S": "0.2",
       "ADAPTIVE_TIMEOUTS": "true", "ADAPTIVE_INTERVAL_S": "1",
       "FLASH_TIMEOUT_MIN_S": "0.5", "FLASH_TIMEOUT_MAX_S": "0.8",
       "PRO_TIMEOUT_MIN_S": "1", "PRO_TIMEOUT_MAX_S": "1.5"}


def field_kb(pid, file, name):
    for line in pathlib.Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise AssertionError(f"no {name} in {file}")


def memory_kb(pid):
    """Its share of memory; what is its own alone where /proc says no more."""
    try:
        return field_kb(pid, "smaps_rollup", "Pss")
    except PermissionError:
        return field_kb(pid, "status", "RssAnon")


def open_fds(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        return field_kb(pid, "status", "FDSize")


def usage(stack):
    """Of the whole service: {pid: (memory in kB, descriptors)}."""
    return {pid: (memory_kb(pid), open_fds(pid))
            for pid in session_of(stack.tandemd.pid)}


def quiet_usage(stack):
    wait_until(lambda: stack.metric("workers_busy", pool="stream") == 0, 20,
               "all workers to be idle")
    return usage(stack)


def assert_nothing_grew(before, after, scribes):
    assert set(before) == set(after), "nobody died, nobody came"
    assert len(scribes) == 1
    # Connections to providers are kept, one a model, in some more than others;
    # the scribe has one from each worker that ever served.
    most = max(descriptors for pid, (_, descriptors) in before.items()
               if pid not in scribes) + 2
    for pid, (memory, descriptors) in after.items():
        allowed = len(after) + 16 if pid in scribes else most
        assert descriptors <= allowed, (pid, before, after)
        assert memory <= before[pid][0] + 4096, (pid, before, after)
    grown_kb = (sum(memory for memory, _ in after.values()) -
                sum(memory for memory, _ in before.values()))
    print(f"memory: {grown_kb} kB more in {len(before)} processes")
    assert grown_kb < 512 * len(before), (before, after)


def count_kinds(stack):
    return {row["kind"]: row["n"] for row in stack.ledger.rows(
        "SELECT kind, count(*) AS n FROM entry GROUP BY kind")}


def assert_metrics_agree_with_the_ledger(stack):
    kinds = count_kinds(stack)
    for kind in ("accepted", "finished", "left", "orphaned"):
        assert stack.metric("audit_writes_total", kind=kind) == \
            kinds.get(kind, 0), kind
    for outcome in ("ok", "timeout", "cancelled", "error"):
        assert stack.metric("requests_total", outcome=outcome) == \
            stack.ledger.value("SELECT count(*) FROM entry WHERE kind = "
                               "'finished' AND status = ?", outcome), outcome
    assert stack.metric("requests_total", outcome="unrecorded") == 0
    assert stack.metric("requests_total") == stack.metric(
        "http_requests_total", path="/api/reasoning/query")
    assert stack.metric("cancellations_total", reason="client") == \
        stack.ledger.value(
            "SELECT count(*) FROM entry WHERE kind IN ('finished', 'left') "
            "AND json_extract(body, '$.client.left')")
    for model in ("flash", "pro"):
        assert stack.metric("timeouts_total", model=model) == \
            stack.ledger.value(
                "SELECT count(*) FROM entry WHERE kind = 'finished' AND "
                f"json_extract(body, '$.{model}.outcome') = 'timed_out'"), model
        for kind in ("input", "output"):
            assert stack.metric("tokens_total", model=model, kind=kind) == \
                stack.ledger.value(
                    f"SELECT coalesce(sum({model}_{kind}_tokens), 0) FROM "
                    "entry WHERE kind = 'finished'"), (model, kind)


def assert_no_request_is_unknown_to_the_ledger(stack):
    """One that was given up early may not have reached the provider."""
    calls = [run[role] for run in (
        json.loads(row["body"]) for row in stack.ledger.rows(
            "SELECT body FROM entry WHERE kind = 'finished'"))
        for role in ("flash", "pro")]
    assert all(len(call["attempt_log"]) == call["attempts"] for call in calls)
    sim = stack.sim.stats()
    assert sim["flash"]["requests"] + sim["pro"]["requests"] <= \
        sum(call["attempts"] for call in calls)
    assert stack.metric("model_fallbacks_total") == \
        sum(call["fallback"] for call in calls)
    refused = sum(call["error_class"] == "CircuitOpen" for call in calls)
    assert stack.metric("errors_total", **{"class": "CircuitOpen"}) == refused
    retries = stack.metric("model_retries_total")
    assert 0 < retries <= sum(call["attempts"] for call in calls)
    print(f"retries {retries:.0f}, refused by a breaker {refused}, "
          f"breakers opened {stack.metric('circuit_open_total'):.0f}")


@pytest.mark.takes(int(SOAK_S) + 180)
def test_rude_clients_and_failing_models_cost_nobody_anything():
    print(f"SOAK_SEED={SEED}")
    with Stack(env=ENV) as stack:
        crowd = Crowd(stack, random.Random(SEED))
        crowd.run(SOAK_S / 4)
        crowd.settle(30)
        before = quiet_usage(stack)
        crowd.run(SOAK_S * 3 / 4)
        crowd.settle(30)
        after = quiet_usage(stack)
        print(crowd.count)
        assert crowd.complaints == []
        kinds = count_kinds(stack)
        assert kinds["accepted"] > SOAK_S
        wait_until(lambda: stack.ledger.unpaired() == [], 20,
                   "every run to have its end")
        assert kinds["accepted"] == \
            kinds["finished"] + kinds.get("orphaned", 0)
        assert kinds.get("orphaned", 0) == 0, "nobody was killed"
        assert_metrics_agree_with_the_ledger(stack)
        assert_no_request_is_unknown_to_the_ledger(stack)
        scribes = {line["pid"] for line in stack.log.lines(role="scribe")}
        assert_nothing_grew(before, after, scribes)
        assert stack.metric("worker_restarts_total") == 0
        sim = stack.sim.stats()
        assert sim["flash"]["open"] == sim["pro"]["open"] == 0
