"""The eight scenarios every dual-model service must get right."""

import re

import pytest

from tandem import wait_until

FAST = "flash.delay_ms=30 pro.delay_ms=90 chunk_ms=0"
STACK = {"env": {"FLASH_TIMEOUT_S": "1", "PRO_TIMEOUT_S": "2",
                 "EARLY_FLASH_TERMINATION": "true"}}


def assert_frames_are_sound(answer):
    """What holds for every frame of every stream."""
    assert [event.data["seq"] for event in answer.events] == \
        list(range(1, len(answer.events) + 1))
    for event in answer.events:
        assert event.data["run_id"] == event.data["trace_id"] == \
            answer.run_id
        assert event.id == f"{answer.run_id}:{event.data['seq']}"
    assert answer.names()[-1] == "done"
    assert answer.names().count("done") == 1
    assert answer.whole


# 1: ordering

def test_preliminary_comes_before_final_and_final_before_done(stack):
    answer = stack.ask(sim=FAST)
    assert answer.names() == ["preliminary", "final", "done"]
    assert_frames_are_sound(answer)
    done = answer.data("done")
    assert done["status"] == "ok"
    assert done["salvage"] == "none"


def test_an_accurate_model_that_is_first_supersedes_the_fast_one(stack):
    before = stack.sim.stats()["flash"]["aborted"]
    late = stack.lateness()
    answer = stack.ask(sim="flash.delay_ms=950 pro.delay_ms=50 chunk_ms=0")
    assert answer.names() == ["final", "done"]
    assert answer.event("final").at < 0.3 + late()
    assert answer.event("done").at < 0.38 + late()
    assert answer.data("done")["status"] == "ok"
    assert answer.data("done")["flash_ms"] is None
    assert stack.ledger.end(answer.run_id)["flash"]["outcome"] == "superseded"
    wait_until(lambda: stack.sim.stats()["flash"]["aborted"] == before + 1, 20,
               "the provider to notice")
    assert_frames_are_sound(answer)


# 2: the fast model is too slow

def test_a_slow_fast_model_is_an_error_and_the_accurate_answer_still_comes(
        stack):
    late = stack.lateness()
    answer = stack.ask(sim="flash.delay_ms=3000 pro.delay_ms=1500 chunk_ms=0")
    assert answer.names() == ["error", "final", "done"]
    error = answer.event("error")
    assert 0.95 <= error.at <= 1.15 + late()
    assert error.data["code"] == "flash_timeout"
    assert error.data["type"] == "timeout"
    assert error.data["retryable"] is True
    assert error.data["terminal"] is False
    assert error.data["model"] == "flash"
    assert answer.data("done")["salvage"] == "pro_only"
    assert_frames_are_sound(answer)


# 3: the accurate model is too slow

def test_a_slow_accurate_model_is_an_error_after_the_fast_answer(stack):
    late = stack.lateness()
    answer = stack.ask(sim="flash.delay_ms=30 pro.delay_ms=4000 chunk_ms=0")
    assert answer.names() == ["preliminary", "error", "done"]
    error = answer.event("error")
    assert 1.95 <= error.at <= 2.2 + late()
    assert error.data["code"] == "pro_timeout"
    assert error.data["type"] == "timeout"
    assert error.data["retryable"] is True
    assert error.data["model"] == "pro"
    assert answer.data("done")["salvage"] == "flash_only"
    assert_frames_are_sound(answer)


# 4: both are too slow

def test_two_slow_models_end_in_errors_and_done(stack):
    late = stack.lateness()
    answer = stack.ask(sim="delay_ms=4000")
    assert answer.names() == ["error", "error", "done"]
    assert [event.data["code"] for event in answer.events[:-1]] == \
        ["flash_timeout", "pro_timeout"]
    assert answer.data("done")["status"] == "timeout"
    assert answer.ended_at < 2.3 + late()
    assert_frames_are_sound(answer)


# 5: persistence

def test_one_record_per_run_holds_question_answers_times_and_tokens(stack):
    answer = stack.ask("is this stored?", sim=FAST,
                       context={"about": "storage"}, user="kim")
    entries = stack.ledger.entries(answer.run_id)
    assert [entry["kind"] for entry in entries] == ["accepted", "finished"]
    end = entries[1]
    assert (end["status"], end["salvage"]) == ("ok", "none")
    assert end["user_id"] == "kim"
    assert 30 <= end["flash_latency_ms"] < end["pro_latency_ms"] <= \
        end["total_ms"]
    assert end["flash_model"] == "gemini-2.5-flash"
    assert end["pro_model"] == "gemini-2.5-pro"
    for column in ("flash_input_tokens", "flash_output_tokens",
                   "pro_input_tokens", "pro_output_tokens"):
        assert end[column] > 0
    content = stack.ledger.content(answer.run_id)
    assert content["query"].startswith(b"is this stored?")
    assert content["context"] == b'{"about":"storage"}'
    for event, part in (("preliminary", "flash"), ("final", "pro")):
        assert answer.data(event)["response"]["content"].encode() == \
            content[part]
    audit = answer.data("done")["audit"]
    assert audit["state"] == "committed"
    assert (audit["log"], audit["index"]) == (end["log_id"], end["idx"])
    assert audit["leaf_hash"] == end["leaf_hash"].hex()


def test_the_view_experiment_runs_tells_the_same(stack):
    answer = stack.ask("for the view", sim=FAST, user="kim")
    row, = stack.ledger.rows(
        "SELECT * FROM experiment_runs WHERE id = ?", answer.run_id)
    assert row["query"].startswith("for the view")
    assert row["flash_response"] == \
        answer.data("preliminary")["response"]["content"]
    assert row["pro_response"] == answer.data("final")["response"]["content"]
    assert row["status"] == "ok"
    assert row["user_id"] == "kim"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", row["created_at"])
    assert row["flash_latency_ms"] == answer.data("done")["flash_ms"]
    assert row["pro_latency_ms"] == answer.data("done")["pro_ms"]


def test_what_a_failed_model_had_said_is_kept_as_partial(stack):
    answer = stack.ask(sim="flash.delay_ms=30 pro.delay_ms=60 chunk_ms=0 "
                           "pro.fault=cut pro.after=3")
    assert answer.data("error")["code"] == "pro_incomplete"
    content = stack.ledger.content(answer.run_id)
    assert "pro" not in content
    assert len(content["pro_partial"]) > 0
    assert content["pro_partial"] not in bytes(answer.body)


# 6: it always closes

FAULTS = ["status", "silent", "stall", "drip", "slow_headers", "cut", "reset",
          "nofinish", "error_tail", "error_event", "finish_then_error",
          "blocked", "safety", "empty", "html", "comments", "unknown_finish"]


@pytest.mark.parametrize("fault", FAULTS)
def test_every_way_of_failing_still_ends_in_done(stack, fault):
    late = stack.lateness()
    answer = stack.ask(sim=f"{FAST} fault={fault}")
    names = answer.names()
    assert "error" in names
    assert names[-1] == "done"
    assert "preliminary" not in names and "final" not in names
    assert answer.ended_at < 2.4 + late()
    assert answer.data("done")["status"] in ("error", "timeout")
    assert_frames_are_sound(answer)
    assert stack.ledger.kinds(answer.run_id) == ["accepted", "finished"]


@pytest.mark.parametrize("role, lost", [("flash", "preliminary"),
                                        ("pro", "final")])
@pytest.mark.parametrize("fault", ["status", "cut", "reset", "nofinish",
                                   "error_tail"])
def test_one_failing_model_costs_only_its_own_answer(stack, fault, role,
                                                     lost):
    answer = stack.ask(sim=f"{FAST} {role}.fault={fault}")
    kept = {"preliminary": "final", "final": "preliminary"}[lost]
    assert lost not in answer.names()
    assert kept in answer.names()
    assert answer.data("error")["model"] == role
    assert_frames_are_sound(answer)


# 7: backward compatibility

def test_a_classic_client_finds_every_member_it_ever_read(stack):
    answer = stack.ask(sim=FAST)
    first, second, last = answer.events
    for event, model, preliminary, confidence in (
            (first, "gemini-2.5-flash", True, "medium"),
            (second, "gemini-2.5-pro", False, "high")):
        response = event.data["response"]
        assert response["model"] == model
        assert response["is_preliminary"] is preliminary
        assert response["confidence"] == confidence
        assert isinstance(response["content"], str) and response["content"]
        assert response["latency_ms"] >= 30
        assert response["usage"]["input_tokens"] > 0
        assert response["usage"]["output_tokens"] > 0
        assert isinstance(event.data["message"], str)
        assert event.data["trace_id"] == answer.run_id
    steps = second.data["response"]["reasoning_steps"]
    assert 1 <= len(steps) <= 5
    assert second.data["response"]["content"].startswith(steps[0])
    assert last.name == "done"


def test_context_may_be_absent_empty_or_null(stack):
    for more in ({}, {"context": {}}, {"context": None}):
        assert stack.ask(sim=FAST, **more).names()[-1] == "done"


# 8: metrics

def test_every_outcome_is_counted_once(stack):
    def counts():
        return {
            "ok": stack.metric("requests_total", outcome="ok"),
            "timeout": stack.metric("requests_total", outcome="timeout"),
            "flash": stack.metric("timeouts_total", model="flash"),
            "pro": stack.metric("timeouts_total", model="pro"),
            "latencies": stack.metric("latency_ms_count", model="flash"),
            "streams": stack.metric("sse_handler_duration_count"),
            "early": stack.metric("early_flash_terminations_total"),
            "http": stack.metric("http_requests_total", status="200",
                                 path="/api/reasoning/query"),
        }
    before = counts()
    stack.ask(sim=FAST)
    stack.ask(sim="delay_ms=4000")
    stack.ask(sim="flash.delay_ms=950 pro.delay_ms=10 chunk_ms=0")
    gained = {name: value - before[name] for name, value in counts().items()}
    assert gained == {"ok": 2, "timeout": 1, "flash": 1, "pro": 1,
                      "latencies": 1, "streams": 3, "early": 1, "http": 3}


def test_the_fast_model_is_faster_on_average(stack):
    def mean(model):
        return (stack.metric("latency_ms_sum", model=model) /
                stack.metric("latency_ms_count", model=model))
    stack.ask(sim=FAST)
    assert mean("flash") < mean("pro")
