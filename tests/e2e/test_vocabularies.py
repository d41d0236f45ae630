"""Three vocabularies, and the strict clients that rely on them."""

import json
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
FAST = "flash.delay_ms=30 pro.delay_ms=90 chunk_ms=0"
BOTH_FAIL = f"{FAST} fault=cut"
STACK = {"env": {"FLASH_TIMEOUT_S": "2"}}

CASES = [
    # vocabulary, what modelsim does, event names
    ("classic", FAST, "preliminary final done"),
    ("classic", f"{FAST} flash.fault=cut", "error final done"),
    ("classic", f"{FAST} pro.fault=cut", "preliminary error done"),
    ("classic", BOTH_FAIL, "error error done"),
    ("staged", FAST, "start flash_complete pro_complete complete done"),
    ("staged", f"{FAST} flash.fault=cut",
     "start model_error pro_complete complete done"),
    ("staged", f"{FAST} pro.fault=cut",
     "start flash_complete error complete done"),
    ("staged", BOTH_FAIL, "start model_error error done"),
    ("both", FAST, "start preliminary flash_complete final pro_complete "
                   "complete done"),
    ("both", f"{FAST} flash.fault=cut",
     "start error model_error final pro_complete complete done"),
    ("both", BOTH_FAIL, "start error model_error error done"),
]


@pytest.mark.parametrize("events, sim, names", CASES)
def test_events_come_in_the_words_and_order_that_were_asked_for(
        stack, events, sim, names):
    answer = stack.ask(sim=sim, events=events)
    assert answer.names() == names.split()
    assert [event.data["seq"] for event in answer.events] == \
        list(range(1, len(answer.events) + 1))


def test_the_query_string_chooses_too_and_the_member_wins(stack):
    path = "/api/reasoning/query?events=staged"
    assert stack.ask(sim=FAST, path=path).names()[0] == "start"
    assert stack.ask(sim=FAST, path=path, events="classic").names()[0] == \
        "preliminary"


def test_staged_payloads_are_what_staged_clients_read(stack):
    late = stack.lateness()
    answer = stack.ask("what is staged?", sim=FAST, events="staged")
    start = answer.data("start")
    assert start["query"].startswith("what is staged?")
    assert start["flash_model"] == "gemini-2.5-flash"
    assert start["pro_model"] == "gemini-2.5-pro"
    assert start["deadline_ms"] == 50000
    for name, at_least in (("flash_complete", 30), ("pro_complete", 90)):
        assert isinstance(answer.data(name)["response"], str)
        assert at_least <= answer.data(name)["duration_ms"] < \
            at_least + 200 + 1000 * late()
        assert answer.data(name)["model"].startswith("gemini-2.5-")
    complete = answer.data("complete")
    assert complete["flash_response"] == \
        answer.data("flash_complete")["response"]
    assert complete["pro_response"] == answer.data("pro_complete")["response"]


def test_complete_holds_null_where_a_model_failed(stack):
    answer = stack.ask(sim=f"{FAST} flash.fault=cut", events="staged")
    assert answer.data("complete")["flash_response"] is None
    assert answer.data("complete")["pro_response"] == \
        answer.data("pro_complete")["response"]


# ---- a reader that trusts positions --------------------------------------

def read_by_index(events):
    preliminary, final, done = events[0], events[1], events[2]
    assert preliminary.name == "preliminary" and final.name == "final"
    assert done.name == "done" and len(events) == 3
    return (preliminary.data["response"]["content"],
            final.data["response"]["content"])


def test_an_index_based_classic_reader_gets_both_answers(stack):
    quick, verified = read_by_index(stack.ask(sim=FAST).events)
    assert quick and verified and quick != verified


def test_an_index_based_classic_reader_sees_a_failure_first_and_done_last(
        stack):
    events = stack.ask(sim=f"{FAST} flash.fault=cut").events
    assert events[0].name == "error"
    assert events[-1].name == "done"


# ---- a reader that stops early -------------------------------------------

def read_staged(stream):
    """Stops at `complete` or at the first `error`, as staged clients do."""
    stream.until(("complete", "error"), 20)
    return stream.names()


@pytest.mark.parametrize("sim, last", [
    (FAST, "complete"), (f"{FAST} flash.fault=cut", "complete"),
    (f"{FAST} pro.fault=cut", "error"), (BOTH_FAIL, "error")])
def test_a_staged_reader_may_leave_at_its_last_frame_and_the_record_stands(
        stack, sim, last):
    stream = stack.open(sim=sim, events="staged")
    names = read_staged(stream)
    assert last in names
    run_id = stream.run_id
    stream.close()
    assert stack.ledger.kinds(run_id) == ["accepted", "finished"]
    assert stack.ledger.end(run_id)["status"] != "cancelled"


# ---- a reader that many people use ---------------------------------------

@pytest.fixture(scope="module")
def node():
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if not (HERE / "node_modules" / "eventsource-parser").exists():
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=HERE, capture_output=True, text=True, timeout=50, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    return shutil.which("node")


@pytest.mark.parametrize("events", ["classic", "staged", "both"])
@pytest.mark.parametrize("piece", [1, 7, 100000])
def test_eventsource_parser_reads_the_raw_bytes(stack, node, events, piece):
    text = "a\n\ndata: not an event\n\nevent: done\u2028\r\n: \U0001f600"
    stack.sim.set(flash_text=text, pro_text=text, flash_delay_ms=10,
                  pro_delay_ms=50)
    try:
        answer = stack.ask(events=events)
    finally:
        stack.sim.reset()
    result = subprocess.run(
        [node, HERE / "parse_events.mjs", str(piece)],
        input=bytes(answer.body), capture_output=True, timeout=20,
        check=True)
    parsed = json.loads(result.stdout)
    assert [(one["event"], one["id"], json.loads(one["data"]))
            for one in parsed["events"]] == \
        [(event.name, event.id, event.data) for event in answer.events]
    assert parsed["errors"] == []
    said = answer.data("preliminary")["response"]["content"] \
        if events != "staged" else answer.data("flash_complete")["response"]
    assert said == text
