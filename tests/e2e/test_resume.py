"""A stream that broke is taken up where it broke, from the record."""

import os
import signal
import threading
import time

import pytest

from tandem import Stack, wait_until

QUICK = "flash.delay_ms=10 pro.delay_ms=30 chunk_ms=0"
SLOW = "flash.delay_ms=100 pro.delay_ms=2500 chunk_ms=0"


@pytest.fixture(scope="module")
def apache():
    with Stack(web="apache2") as stack:
        yield stack


def path_of(run_id):
    return f"/api/reasoning/runs/{run_id}/events"


def resume(stack, run_id, last=None):
    headers = {"Last-Event-ID": last} if last else {}
    return stack.http("GET", path_of(run_id), headers=headers)


def follow(stack, run_id, last=None, within=30):
    """All frames after last, as an EventSource collects them."""
    events = []
    deadline = time.monotonic() + within
    while not events or events[-1].name != "done":
        assert time.monotonic() < deadline, events
        answer = resume(stack, run_id, last).finish(20)
        assert answer.status == 200, answer
        events += answer.events
        last = events[-1].id if events else last
        if answer.retry_ms is None:
            assert events[-1].name == "done", answer
        else:
            assert answer.retry_ms == 1000
            time.sleep(0.1)
    return events


def texts(events):
    return [(event.name, event.id, event.text) for event in events]


def is_ended(stack, run_id):
    return "finished" in stack.ledger.kinds(run_id)


# ---- after the end ----------------------------------------------------------

@pytest.mark.parametrize("events", ["classic", "staged", "both"])
def test_after_each_frame_the_rest_is_as_it_was(stack, events):
    whole = stack.ask(sim=QUICK, events=events)
    for at in range(len(whole.events)):
        rest = resume(stack, whole.run_id, whole.events[at].id).finish(20)
        if at + 1 == len(whole.events):
            assert rest.status == 204, "an EventSource stops asking"
            assert bytes(rest.body) == b""
        else:
            assert rest.headers["content-type"] == \
                "text/event-stream; charset=utf-8"
            assert rest.headers["x-request-id"] == whole.run_id
            assert texts(rest.events) == texts(whole.events[at + 1:])
    assert texts(resume(stack, whole.run_id).finish(20).events) == \
        texts(whole.events)


def test_the_last_id_may_stand_in_the_query_string(stack):
    whole = stack.ask(sim=QUICK)
    path = f"{path_of(whole.run_id)}?last_event_id={whole.run_id}:1"
    assert texts(stack.get(path).events) == texts(whole.events[1:])


def test_apache_finds_the_way_too(apache):
    whole = apache.ask(sim=QUICK)
    rest = resume(apache, whole.run_id, whole.events[0].id).finish(20)
    assert texts(rest.events) == texts(whole.events[1:])


@pytest.mark.parametrize("last", [
    "1", "nonsense", "00000000-0000-7000-8000-000000000000:1", "{}", "{}:",
    "{}:x", "{}:-1", "{}:99999999999"])
def test_an_id_of_something_else_is_refused(stack, last):
    run_id = stack.ask(sim=QUICK).run_id
    answer = resume(stack, run_id, last.format(run_id)).finish(20)
    assert (answer.status, answer.json()["code"]) == \
        (400, "invalid_last_event_id")


@pytest.mark.parametrize("path, status", [
    (path_of("00000000-0000-7000-8000-000000000000"), 404),
    (path_of("nonsense"), 404), ("/api/reasoning/runs/", 404)])
def test_there_is_no_such_run(stack, path, status):
    assert stack.get(path).status == status


def test_only_get_and_head_are_taken(stack):
    run_id = stack.ask(sim=QUICK).run_id
    answer = stack.http("POST", path_of(run_id), {}).finish(20)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    answer = stack.http("HEAD", path_of(run_id)).finish(20)
    assert (answer.status, bytes(answer.body)) == (200, b"")


# ---- a run that its client left ---------------------------------------------

def test_a_client_that_left_reads_how_its_run_was_cancelled(stack):
    stream = stack.open(sim=SLOW, events="staged")
    stream.until("flash_complete", 20)
    stream.close()
    wait_until(lambda: is_ended(stack, stream.run_id), 20, "the end")
    events = follow(stack, stream.run_id, stream.events[-1].id)
    assert [event.name for event in events] == ["complete", "done"]
    assert events[-1].data["status"] == "cancelled"
    assert events[0].data["pro_response"] is None


@pytest.mark.parametrize("names", [
    None, "start", ("start", "flash_complete"),
    ("start", "flash_complete", "pro_complete", "complete", "done")])
def test_a_run_goes_on_without_its_caller(stack, names):
    before = stack.sim.stats()
    sim = "flash.delay_ms=300 pro.delay_ms=2000 chunk_ms=0"
    stream = stack.open(sim=sim, events="staged", on_disconnect="continue")
    stream.until_headers(20)
    for name in (names,) if isinstance(names, str) else names or ():
        stream.until(name, 20)
    if stream.ended_at is None:
        stream.close()
    seen = list(stream.events)
    events = follow(stack, stream.run_id, seen[-1].id if seen else None) \
        if not seen or seen[-1].name != "done" else []
    whole = seen + events
    assert [event.name for event in whole] == [
        "start", "flash_complete", "pro_complete", "complete", "done"]
    assert [event.id for event in whole] == \
        [f"{stream.run_id}:{seq}" for seq in range(1, 6)]
    assert whole[-1].data["status"] == "ok"
    end = stack.ledger.end(stream.run_id)
    assert (end["status"], end["pro"]["outcome"]) == ("ok", "complete")
    assert end["client"]["left"] is (len(seen) < 3)
    if len(seen) < 3:
        assert end["client"]["last_seq"] >= len(seen)
        assert end["client"]["left_after_ms"] >= 0
    assert "left" not in stack.ledger.kinds(stream.run_id)
    assert stack.ledger.entries(stream.run_id)[0]["body"]["on_disconnect"] \
        == "continue"
    after = stack.sim.stats()
    for role in ("flash", "pro"):
        assert after[role]["aborted"] == before[role]["aborted"]


def test_on_disconnect_takes_two_words(stack):
    answer = stack.open(on_disconnect="ignore").finish(20)
    assert (answer.status, answer.json()["code"]) == \
        (422, "invalid_on_disconnect")
    assert stack.ask(sim=QUICK, on_disconnect="cancel").names()[-1] == "done"


def test_a_resumed_stream_of_a_live_run_waits_and_beats():
    with Stack(env={"HEARTBEAT_MS": "200"}) as stack:
        stream = stack.open(sim=SLOW, events="staged",
                            on_disconnect="continue")
        stream.until("flash_complete", 20)
        answer = resume(stack, stream.run_id).finish(20)
        assert answer.names()[0] == "start"
        assert [text for text, _ in answer.comments][:2] == [": ok", ": hb"]
        rest = follow(stack, stream.run_id, answer.events[-1].id) \
            if answer.names()[-1] != "done" else []
        assert texts(answer.events + rest) == texts(stream.finish(20).events)


def test_a_lost_run_ends_when_it_is_resumed():
    with Stack() as stack:
        stack.expect_errors |= {"child_died"}
        stream = stack.open(sim=SLOW, events="both")
        stream.until("flash_complete", 20)
        os.kill(stack.ledger.entries(stream.run_id)[0]["body"]["worker_pid"],
                signal.SIGKILL)
        wait_until(lambda: "orphaned" in stack.ledger.kinds(stream.run_id),
                   20, "the orphaned entry")
        events = follow(stack, stream.run_id, stream.events[-1].id)
        assert [(event.name, event.data["seq"]) for event in events] == \
            [("error", 4), ("done", 5)]
        assert events[0].data["code"] == "internal_error"


# ---- many -------------------------------------------------------------------

def test_health_answers_while_ten_wait_to_resume():
    with Stack() as stack:
        streams = [stack.open(sim="flash.delay_ms=100 pro.delay_ms=6000 "
                                  "chunk_ms=0", on_disconnect="continue")
                   for _ in range(10)]
        for stream in streams:
            stream.until("preliminary", 20)
        found = {}

        def collect(stream):
            found[stream.run_id] = follow(stack, stream.run_id,
                                          stream.events[0].id)
        threads = [threading.Thread(target=collect, args=(stream,))
                   for stream in streams]
        for thread in threads:
            thread.start()
        late = stack.lateness()
        took = []
        while any(thread.is_alive() for thread in threads):
            began = time.monotonic()
            assert stack.control("/health").status == 200
            took.append(time.monotonic() - began)
            time.sleep(0.02)
        for thread in threads:
            thread.join()
        assert sorted(took)[len(took) * 99 // 100] < 0.25 + late()
        for stream in streams:
            assert texts(found[stream.run_id]) == \
                texts(stream.finish(20).events[1:])
