"""Every way in which a call can end, from the provider's bytes to the event,
the metric and the record."""

import re

import pytest

from tandem import Stack

FAST = "flash.delay_ms=10 pro.delay_ms=20 chunk_ms=0 chunks=4"
STACK = {"web": None, "env": {"FLASH_TIMEOUT_S": "20", "PRO_TIMEOUT_S": "20",
                              "EARLY_FLASH_TERMINATION": "false",
                              "MODEL_RETRIES": "0"}}

# name: settings of modelsim, code of the event, error class, outcome of record
FAILURES = {
    "no finish reason": (
        "fault=nofinish", "incomplete", "StreamCut", "incomplete"),
    "connection cut": (
        "fault=cut", "incomplete", "StreamCut", "incomplete"),
    "connection reset": (
        "fault=reset", "incomplete", "StreamCut", "incomplete"),
    "raw error cut off": (
        "fault=tail_cut", "incomplete", "StreamCut", "incomplete"),
    "raw error after text": (
        "fault=error_tail", "unavailable", "HttpError503", "unavailable"),
    "raw error under 200": (
        "fault=error_tail after=0", "unavailable", "HttpError503",
        "unavailable"),
    "error event under 200": (
        "fault=error_event after=0", "unavailable", "HttpError503",
        "unavailable"),
    "error event after text": (
        "fault=error_event", "unavailable", "HttpError503", "unavailable"),
    "error after the finish reason": (
        "fault=finish_then_error", "unavailable", "HttpError503",
        "unavailable"),
    "prompt refused": (
        "fault=blocked", "blocked", "PolicyBlocked", "blocked"),
    "answer refused": (
        "fault=safety", "blocked", "PolicyBlocked", "blocked"),
    "no text": (
        "fault=empty", "incomplete", "EmptyAnswer", "empty"),
    "thinking used the budget": (
        "fault=empty finish=MAX_TOKENS thoughts=3", "incomplete",
        "OnlyThought", "empty"),
    "no such model": (
        "status=404", "unavailable", "ModelNotFound", "unavailable"),
    "no such model, as a page": (
        "fault=html", "unavailable", "ModelNotFound", "unavailable"),
    "wrong key": (
        "status=403", "unavailable", "AuthError", "unavailable"),
    "bad request": (
        "status=400", "error", "HttpError4xx", "failed"),
    "broken JSON": (
        "fault=badjson", "error", "BadStream", "failed"),
    "unknown finish reason": (
        "fault=unknown_finish", "error", "BadFinish", "failed"),
}


@pytest.fixture(autouse=True)
def success_between(stack):
    """So that no case is the third failure in a row of its model."""
    yield
    stack.ask(sim=FAST)


@pytest.mark.parametrize("role", ["flash", "pro"])
@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_told_counted_and_recorded_as_what_it_is(stack, name,
                                                              role):
    sim, code, error_class, outcome = FAILURES[name]
    stack.ask(sim=FAST)
    before = stack.metric("errors_total", **{"class": error_class})
    answer = stack.ask(sim=f"{FAST} " + re.sub(
        r"(\w+=)", rf"{role}.\1", sim), within=30)
    kept, lost = {"flash": ("final", "preliminary"),
                  "pro": ("preliminary", "final")}[role]
    assert kept in answer.names() and lost not in answer.names()
    error = answer.data("error")
    assert error["code"] == f"{role}_{code}"
    assert error["model"] == role
    assert stack.metric("errors_total", **{"class": error_class}) == \
        before + 1
    end = stack.ledger.end(answer.run_id)
    assert end[role]["outcome"] == outcome
    assert end[role]["code"] == f"{role}_{code}"
    assert end[role]["error_class"] == error_class
    content = stack.ledger.content(answer.run_id)
    assert role not in content
    assert f"{role}_partial" not in content or \
        content[f"{role}_partial"] not in bytes(answer.body)


# name: settings of modelsim, mark that is counted
MARKS = {
    "cut by its length": ("fault=max_tokens", "cut"),
    "another model": ("model_version=gemini-3.8-other", "rerouted"),
    "its smaller sibling": (
        "model_version=gemini-2.5-flash-lite", "rerouted"),
    "another response id half-way": ("fault=renamed", "renamed"),
    "text that is no text": ("fault=surrogate", "cleaned"),
    "a connection that broke after the end": ("fault=finish_then_cut",
                                              "unclean"),
}


def marks(stack, role):
    return {mark: stack.metric("model_marks_total", model=role, mark=mark)
            for mark in ("cut", "rerouted", "renamed", "cleaned", "trailed",
                         "unclean")}


@pytest.mark.parametrize("name", MARKS)
def test_an_answer_with_a_flaw_is_one_and_is_marked(stack, name):
    sim, mark = MARKS[name]
    before = marks(stack, "flash")
    answer = stack.ask(sim=f"{FAST} " + "flash." + sim, events="both")
    response = answer.data("preliminary")["response"]
    staged = answer.data("flash_complete")
    for told in (response, staged):
        assert told["finish_reason"] == ("length" if mark == "cut" else "stop")
        assert told["rerouted"] is (mark == "rerouted")
    gained = {name: after - before[name]
              for name, after in marks(stack, "flash").items()}
    assert gained == {name: int(name == mark) for name in gained}
    end = stack.ledger.end(answer.run_id)["flash"]
    assert end["outcome"] == ("cut" if mark == "cut" else "complete")
    assert end["rerouted"] is (mark == "rerouted")
    assert end["transport_unclean"] is (mark == "unclean")
    assert end["served_model"] == response["model"] == staged["model"]


def test_another_edition_of_a_model_is_not_rerouted(stack):
    answer = stack.ask(sim=f"{FAST} flash.model_version=gemini-2.5-flash-001")
    assert answer.data("preliminary")["response"]["rerouted"] is False
    end = stack.ledger.end(answer.run_id)["flash"]
    assert (end["rerouted"], end["served_model"]) == \
        (False, "gemini-2.5-flash-001")


def test_thinking_is_counted_apart_and_the_last_count_holds(stack):
    kinds = ("input", "output", "thought")

    def tokens():
        return {kind: stack.metric("tokens_total", model="pro", kind=kind)
                for kind in kinds}
    before = tokens()
    answer = stack.ask(sim=f"{FAST} pro.thoughts=2 pro.text_bytes=400")
    usage = answer.data("final")["response"]["usage"]
    assert (usage["output_tokens"], usage["thought_tokens"]) == (100, 128)
    assert usage["total_tokens"] == usage["input_tokens"] + 228
    assert {kind: value - before[kind] for kind, value in tokens().items()} \
        == {kind: usage[f"{kind}_tokens"] for kind in kinds}
    end = stack.ledger.end(answer.run_id)["pro"]
    assert {name: end[name] for name in usage} == usage
    assert "thinking" not in answer.data("final")["response"]["content"]


@pytest.mark.parametrize("sim, error_class, word", [
    ("status=404", "ModelNotFound", "LOCATION"),
    ("status=403", "AuthError", "API key")])
def test_what_an_operator_can_mend_is_told_once_with_a_hint(stack, sim,
                                                            error_class, word):
    def told():
        return [line for line in stack.log.lines(event="model_needs_attention")
                if f"class={error_class} " in line["msg"]]
    before = len(told())
    for _ in range(2):
        answer = stack.ask(sim=f"{FAST} pro.{sim}")
        assert answer.data("error")["code"] == "pro_unavailable"
        assert answer.data("error")["retryable"] is False
    line, = told()[before:]
    assert line["level"] == "warning"
    assert "role=pro" in line["msg"] and word in line["msg"]
    health = stack.control("/health")
    assert health.status == 503
    assert word in health.json()["components"]["pro"]["hint"]
    stack.ask(sim=FAST)
    health = stack.control("/health")
    assert health.status == 200
    assert health.json()["components"]["pro"]["hint"] is None


def test_no_word_of_the_provider_reaches_client_or_log(stack):
    answer = stack.ask(sim=f"{FAST} fault=error_tail")
    for text in (bytes(answer.body), stack.tandemd.text().encode()):
        assert b"UNAVAILABLE" not in text
        assert b"overloaded" not in text.lower()


# ---- OpenAI's way of speaking ---------------------------------------------

@pytest.fixture(scope="module")
def openai():
    with Stack(web=None, start=False) as stack:
        stack.start_modelsim()
        host, port = stack.sim_address
        stack.env.update(OPENAI_BASE_URL=f"http://{host}:{port}/v1",
                         OPENAI_API_KEY="simulated", FLASH_PROVIDER="openai",
                         PRO_PROVIDER="openai", FLASH_MODEL="fast-1",
                         PRO_MODEL="pro-1")
        stack.start_tandemd()
        yield stack


def test_thinking_in_tags_is_no_part_of_an_answer(openai):
    answer = openai.ask(sim=f"{FAST} split=7 "
                        "text=%3Cthink%3Ehm%20hm%3C/think%3EThe%20sky%20is.")
    for event in ("preliminary", "final"):
        assert answer.data(event)["response"]["content"] == "The sky is."
    assert b"hm hm" not in bytes(answer.body)
    content = openai.ledger.content(answer.run_id)
    assert content["flash"] == content["pro"] == b"The sky is."


def test_text_after_the_end_is_ignored_and_marked(openai):
    before = marks(openai, "flash")
    answer = openai.ask(sim=f"{FAST} flash.fault=after_done flash.text=all")
    assert answer.data("preliminary")["response"]["content"] == "all"
    assert marks(openai, "flash") == {**before,
                                      "trailed": before["trailed"] + 1}


@pytest.mark.parametrize("fault, code", [
    ("cut", "incomplete"), ("error_event", "error"),
    ("safety", "blocked"), ("nofinish", "incomplete")])
def test_its_failures_are_the_same(openai, fault, code):
    answer = openai.ask(sim=f"{FAST} pro.fault={fault}")
    assert answer.data("error")["code"] == f"pro_{code}"
    assert openai.ledger.end(answer.run_id)["pro"]["code"] == f"pro_{code}"
