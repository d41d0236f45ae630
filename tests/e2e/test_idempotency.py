"""One Idempotency-Key, one run: whoever asks again is told the same answer."""

import contextlib
import hashlib
import os
import signal
import sqlite3

import pytest

from tandem import Stack, drain, wait_until

QUICK = "flash.delay_ms=10 pro.delay_ms=30 chunk_ms=0"
SLOW = "flash.delay_ms=100 pro.delay_ms=1500 chunk_ms=0"


def keyed(key):
    return {"Idempotency-Key": key}


def told(answer):
    """The frames as they are, but for the flag of a replay."""
    return [(event.name, event.id,
             {name: value for name, value in event.data.items()
              if name != "replayed"}) for event in answer.events]


def calls(stack):
    stats = stack.sim.stats()
    return stats["flash"]["requests"], stats["pro"]["requests"]


def more_calls(stack, before):
    return tuple(now - then for now, then in zip(calls(stack), before))


@pytest.mark.parametrize("events", ["classic", "staged", "both"])
@pytest.mark.parametrize("sim", [
    QUICK,
    "flash.delay_ms=200 pro.delay_ms=10 chunk_ms=0",  # Flash is superseded
    "flash.status=500 flash.delay_ms=10 pro.delay_ms=50",
    "flash.delay_ms=10 pro.status=500 pro.delay_ms=80",
    "pro.status=500 pro.delay_ms=10 flash.delay_ms=80",
    "flash.status=500 flash.delay_ms=10 pro.status=500 pro.delay_ms=80",
    "pro.status=500 pro.delay_ms=10 flash.status=500 flash.delay_ms=80",
    "flash.finish=length pro.delay_ms=30",
])
def test_a_replay_is_the_first_stream_but_for_the_flag(stack, events, sim):
    key = f"same-{events}-{hashlib.sha256(sim.encode()).hexdigest()}"
    first = stack.ask(sim=sim, headers=keyed(key), events=events)
    before = calls(stack)
    again = stack.ask(sim=sim, headers=keyed(key), events=events)
    assert again.run_id == first.run_id
    assert told(again) == told(first)
    assert all(event.data["replayed"] is True for event in again.events)
    assert not any("replayed" in event.data for event in first.events)
    assert more_calls(stack, before) == (0, 0)
    assert again.headers["content-type"] == first.headers["content-type"]


def test_a_replay_comes_in_the_words_that_are_asked_for(stack):
    first = stack.ask(sim=QUICK, headers=keyed("words"), events="classic")
    again = stack.ask(sim=QUICK, headers=keyed("words"), events="staged")
    assert again.names() == ["start", "flash_complete", "pro_complete",
                             "complete", "done"]
    assert again.run_id == first.run_id
    assert again.data("done")["audit"] == first.data("done")["audit"]
    assert again.data("flash_complete")["response"] == \
        first.data("preliminary")["response"]["content"]


def test_of_two_requests_at_once_one_asks_the_models(stack):
    before = calls(stack)
    with stack.sim.held():
        answers = [stack.open(sim=SLOW, headers=keyed("at-once"))
                   for _ in range(8)]
        for one in answers:
            one.until_headers(20)
    assert drain(answers, 20) == []
    assert sorted(one.status for one in answers) == [200] + 7 * [409]
    first, = [one for one in answers if one.status == 200]
    for one in answers:
        if one.status == 409:
            assert one.json()["code"] == "idempotency_in_progress"
            assert one.json()["run_id"] == first.run_id
    assert more_calls(stack, before) == (1, 1)


def test_the_same_key_with_another_body_is_refused(stack):
    stack.ask(sim=QUICK, headers=keyed("reused"))
    before = calls(stack)
    for members in ({"query": "what else?"}, {"user": "somebody"},
                    {"context": {"a": 1.5}}):
        members = {"query": "why is the sky blue?", "sim": QUICK, **members}
        answer = stack.open(headers=keyed("reused"), **members).finish(20)
        assert answer.status == 422, answer
        assert answer.json()["code"] == "idempotency_key_reused"
    assert more_calls(stack, before) == (0, 0)


def test_another_body_is_refused_while_the_first_is_answered(stack):
    with stack.sim.held():
        stream = stack.open(sim=SLOW, headers=keyed("busy")).until_headers(20)
        answer = stack.open("what else?", headers=keyed("busy")).finish(20)
    assert (answer.status, answer.json()["code"]) == \
        (422, "idempotency_key_reused")
    assert stream.finish(20).names()[-1] == "done"


@pytest.mark.parametrize("key", ["", " ", "two words", "x" * 256, "\x7f",
                                 "caf\xe9"])
def test_a_key_of_other_characters_is_refused(stack, key):
    answer = stack.open(how="fastcgi", headers=keyed(key)).finish(20)
    assert (answer.status, answer.json()["code"]) == \
        (400, "invalid_idempotency_key")


def test_the_record_holds_the_key_as_a_hash_and_the_request_salted(stack):
    answer = stack.ask(sim=QUICK, headers=keyed("salty"), user="ann")
    body = stack.ledger.entries(answer.run_id)[0]["body"]
    asked = ('{"query":"why is the sky blue? [[sim ' + QUICK + ']]",'
             '"user":"ann"}')
    assert body["idempotency_key"] == \
        hashlib.sha256(b"\0salty").hexdigest()
    assert body["request_hash"] == \
        hashlib.sha256(b"\4salty" + asked.encode()).hexdigest()
    assert "salty" not in stack.tandemd.text()
    plain = stack.ask(sim=QUICK)
    body = stack.ledger.entries(plain.run_id)[0]["body"]
    assert (body["idempotency_key"], body["request_hash"]) == (None, None)


def test_a_key_outlives_the_service_and_its_scribe():
    with Stack() as stack:
        stack.expect_errors |= {"child_died"}
        first = stack.ask(sim=QUICK, headers=keyed("lasting"))
        before = calls(stack)
        scribe, = stack.workers("scribe")
        os.kill(scribe, signal.SIGKILL)
        again = stack.ask(sim=QUICK, headers=keyed("lasting"))
        assert told(again) == told(first)
        stack.stop_tandemd()
        stack.start_tandemd()
        again = stack.ask(sim=QUICK, headers=keyed("lasting"))
        assert told(again) == told(first)
        answer = stack.open("else?", headers=keyed("lasting")).finish(20)
        assert answer.status == 422
        assert more_calls(stack, before) == (0, 0)


def test_a_killed_scribe_does_not_forget_a_run_that_is_under_way():
    with Stack() as stack:
        stack.expect_errors |= {"child_died"}
        stream = stack.open(sim=SLOW, headers=keyed("open"))
        stream.until("preliminary", 20)
        scribe, = stack.workers("scribe")
        with stack.sim.held():
            os.kill(scribe, signal.SIGKILL)
            answer = stack.open(sim=SLOW, headers=keyed("open")).finish(20)
        assert (answer.status, answer.json()["run_id"]) == \
            (409, stream.run_id)
        assert stream.finish(20).names() == ["preliminary", "final", "done"]


def test_a_key_may_be_used_again_when_its_time_is_over():
    with Stack(env={"IDEMPOTENCY_TTL_S": "1"}) as stack:
        first = stack.ask(sim=QUICK, headers=keyed("short"))

        def other():
            answer = stack.ask(sim=QUICK, headers=keyed("short"))
            return answer.run_id != first.run_id and answer
        second = wait_until(other, 20, "the key to be free")
        assert not any("replayed" in one.data for one in second.events)


def test_a_lost_run_is_replayed_as_lost():
    with Stack() as stack:
        stack.expect_errors |= {"child_died"}
        stream = stack.open(sim=SLOW, headers=keyed("lost"))
        stream.until("preliminary", 20)
        os.kill(stack.ledger.entries(stream.run_id)[0]["body"]["worker_pid"],
                signal.SIGKILL)
        wait_until(lambda: "orphaned" in stack.ledger.kinds(stream.run_id),
                   20, "the orphaned entry")
        again = stack.ask(sim=SLOW, headers=keyed("lost"))
        assert again.names() == ["error", "done"]
        assert again.data("error")["code"] == "internal_error"
        assert again.data("done")["status"] == "error"


def test_without_a_control_worker_a_replay_can_be_asked_for_later():
    with Stack(env={"CONTROL_WORKERS": "1"}) as stack:
        stack.ask(sim=QUICK, headers=keyed("later"))
        control, = stack.workers("control")
        os.kill(control, signal.SIGSTOP)
        try:
            answer = stack.open(sim=QUICK, headers=keyed("later")).finish(20)
        finally:
            os.kill(control, signal.SIGCONT)
        assert answer.status == 503
        assert answer.json()["code"] == "replay_unavailable"
        assert answer.headers["retry-after"] == "2"
        assert stack.ask(sim=QUICK, headers=keyed("later")).names()[-1] == \
            "done"


def test_with_a_key_at_the_door_a_replay_needs_it_too():
    env = {"ENABLE_AUTH": "true", "API_KEY": "a-long-enough-secret-key"}
    with Stack(env=env) as stack:
        headers = {"X-API-Key": env["API_KEY"], **keyed("door")}
        first = stack.ask(sim=QUICK, headers=headers)
        assert told(stack.ask(sim=QUICK, headers=headers)) == told(first)
        path = f"/api/reasoning/runs/{first.run_id}/events"
        assert stack.get(path).status == 401
        assert stack.get(path, {"X-API-Key": env["API_KEY"]}).status == 200


def test_erased_texts_are_gone_and_not_invented(stack):
    first = stack.ask(sim=QUICK, headers=keyed("erased"))
    with contextlib.closing(sqlite3.connect(stack.ledger.path)) as db, db:
        saved = db.execute("SELECT * FROM content WHERE run_id = ? AND "
                           "part = 'pro'", (first.run_id,)).fetchone()
        db.execute("DELETE FROM content WHERE run_id = ? AND part = 'pro'",
                   (first.run_id,))
    try:
        answer = stack.open(sim=QUICK, headers=keyed("erased")).finish(20)
        assert (answer.status, answer.json()["code"]) == \
            (410, "texts_erased")
    finally:
        with contextlib.closing(sqlite3.connect(stack.ledger.path)) as db, db:
            db.execute("INSERT INTO content VALUES (?, ?, ?, ?)", saved)


def test_many_keys_at_once_are_many_runs(stack):
    streams = [stack.open(sim=QUICK, headers=keyed(f"many-{i}"))
               for i in range(30)]
    assert drain(streams, 20) == []
    assert len({one.run_id for one in streams}) == 30


def test_replays_and_refusals_are_counted():
    with Stack() as stack:
        first = stack.ask(sim=QUICK, headers=keyed("counted"))
        for _ in range(3):
            stack.ask(sim=QUICK, headers=keyed("counted"))
        stack.open("else?", headers=keyed("counted")).finish(20)
        with stack.sim.held():
            stream = stack.open(sim=SLOW, headers=keyed("slow")) \
                .until_headers(20)
            assert stack.open(sim=SLOW, headers=keyed("slow")).finish(20) \
                .status == 409
        stream.finish(20)
        for outcome, count in (("ok", 2), ("replayed", 3), ("rejected", 2)):
            assert stack.metric("requests_total", outcome=outcome) == count
        assert stack.metric("requests_total") == stack.metric(
            "http_requests_total", path="/api/reasoning/query")
        assert stack.metric("http_requests_total", status="409") == 1
        stack.get(f"/api/reasoning/runs/{first.run_id}/events")
        assert stack.metric(
            "http_requests_total", status="200",
            path="/api/reasoning/runs/{run_id}/events") == 4
