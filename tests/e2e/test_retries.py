"""A provider that fails at first: asked again, replaced, or left alone."""

import os
import signal
import time

import pytest

from tandem import Stack, drain, wait_until

FAST = "flash.delay_ms=0 pro.delay_ms=0 chunk_ms=0"
STACK = {"web": None, "env": {"MODEL_RETRY_DELAY_S": "0.1",
                              "EARLY_FLASH_TERMINATION": "false"}}
SPARE = "gemini-2.5-flash-lite"


@pytest.fixture(autouse=True)
def healthy(request):
    if "stack" in request.fixturenames:
        request.getfixturevalue("stack").sim.reset()


def pro_of(stack, answer):
    return stack.ledger.end(answer.run_id)["pro"]


# ---- again -------------------------------------------------------------------

def test_two_busy_answers_and_a_good_one_make_a_good_one(stack):
    retries = stack.metric("model_retries_total", model="pro")
    stack.sim.set(pro_status=503, pro_times=2)
    answer = stack.ask(sim=FAST)
    assert "final" in answer.names() and "error" not in answer.names()
    assert answer.data("done")["status"] == "ok"
    pro = pro_of(stack, answer)
    assert pro["attempts"] == 3
    assert [(one["error_class"], one["http_status"], one["model"])
            for one in pro["attempt_log"]] == [
        ("HttpError503", 503, "gemini-2.5-pro"),
        ("HttpError503", 503, "gemini-2.5-pro"),
        (None, 200, "gemini-2.5-pro")]
    assert [set(one) for one in pro["attempt_log"]] == 3 * [
        {"error_class", "http_status", "model", "took_ms", "wait_ms"}]
    first, second, third = (one["wait_ms"] for one in pro["attempt_log"])
    assert (first, 100 <= second <= 125, 200 <= third <= 250) == \
        (0, True, True)
    assert pro["latency_ms"] >= second + third
    assert pro["fallback"] is False
    assert stack.sim.stats()["pro"]["requests"] == 3
    assert stack.metric("model_retries_total", model="pro") == retries + 2


def test_two_retries_and_no_more(stack):
    stack.sim.set(pro_status=503)
    answer = stack.ask(sim=FAST)
    assert answer.data("error")["code"] == "pro_unavailable"
    assert pro_of(stack, answer)["attempts"] == 3
    assert stack.sim.stats()["pro"]["requests"] == 3


def test_a_delay_that_the_provider_names_is_kept(stack):
    stack.sim.set(pro_status=429, pro_times=1, pro_retry_delay_s=0.7)
    pro = pro_of(stack, stack.ask(sim=FAST))
    assert pro["outcome"] == "complete"
    assert 700 <= pro["attempt_log"][1]["wait_ms"] <= 875
    assert pro["latency_ms"] >= 700


def test_one_that_is_too_long_is_not_waited_for(stack):
    stack.sim.set(flash_status=429, flash_retry_delay_s=36)
    late = stack.lateness()
    answer = stack.ask(sim=FAST)
    assert answer.ended_at < 3 + late()  # of the 5 s that Flash has
    flash = stack.ledger.end(answer.run_id)["flash"]
    assert (flash["error_class"], flash["attempts"]) == ("RateLimited", 1)


def test_nothing_is_asked_again_once_text_has_come(stack):
    answer = stack.ask(sim=f"{FAST} pro.fault=error_tail")
    pro = pro_of(stack, answer)
    assert pro["attempts"] == 1
    assert stack.ledger.content(answer.run_id)["pro_partial"]
    assert stack.sim.stats()["pro"]["requests"] == 1


def test_a_client_that_leaves_during_a_pause_ends_it_at_once(stack):
    stack.sim.set(flash_status=503, flash_retry_delay_s=3,
                  pro_status=503, pro_retry_delay_s=20)
    stream = stack.open(sim=FAST).until_headers(20)
    wait_until(lambda: stack.sim.stats()["pro"]["requests"] == 1 and
               stack.sim.stats()["flash"]["requests"] == 1, 20,
               "both attempts")
    late = stack.lateness()
    left_at = time.monotonic()
    stream.close()
    wait_until(lambda: len(stack.ledger.kinds(stream.run_id)) == 2, 20,
               "the end of the run")
    assert time.monotonic() - left_at < 2.5 + late()  # and not 3 s, or 20 s
    end = stack.ledger.end(stream.run_id)
    assert end["status"] == "cancelled"
    for role in ("flash", "pro"):
        assert end[role]["cancelled"] == "client"
        assert end[role]["attempts"] == 1
        assert stack.sim.stats()[role]["requests"] == 1


def test_no_retries_when_they_are_switched_off():
    with Stack(web=None, env={"MODEL_RETRIES": "0"}) as stack:
        stack.sim.set(pro_status=503, pro_times=1)
        answer = stack.ask(sim=FAST)
        assert answer.data("error")["code"] == "pro_unavailable"
        assert stack.sim.stats()["pro"]["requests"] == 1


# ---- another one -------------------------------------------------------------

@pytest.fixture(scope="module")
def spare():
    # modelsim takes a model without "pro" in its name for a Flash
    with Stack(web=None, env={"PRO_FALLBACK_MODEL": SPARE,
                              "MODEL_RETRY_DELAY_S": "0.05",
                              "EARLY_FLASH_TERMINATION": "false"}) as stack:
        yield stack


@pytest.mark.parametrize("fault, attempts", [
    ({"pro_status": 503}, 4),  # three for nothing
    ({"pro_status": 429, "pro_retry_delay_s": 3600}, 2),
    ({"pro_fault": "html"}, 2),  # 404: retired
])
def test_the_fallback_answers_and_says_so(spare, fault, attempts):
    spare.sim.reset()
    before = spare.metric("model_fallbacks_total", model="pro")
    spare.sim.set(**fault)
    answer = spare.ask(sim=FAST)
    assert answer.data("done")["status"] == "ok"
    assert answer.data("final")["response"]["model"] == SPARE
    pro = pro_of(spare, answer)
    assert pro["requested_model"] == "gemini-2.5-pro"
    assert pro["served_model"] == SPARE
    assert pro["fallback"] is True and pro["rerouted"] is False
    assert pro["attempts"] == attempts
    assert [one["model"] for one in pro["attempt_log"]] == \
        ["gemini-2.5-pro"] * (attempts - 1) + [SPARE]
    assert spare.metric("model_fallbacks_total", model="pro") == before + 1


def test_a_model_that_answers_needs_no_fallback(spare):
    spare.sim.reset()
    before = spare.metric("model_fallbacks_total", model="pro")
    pro = pro_of(spare, spare.ask(sim=FAST))
    assert (pro["served_model"], pro["fallback"]) == ("gemini-2.5-pro", False)
    assert spare.metric("model_fallbacks_total", model="pro") == before


# ---- left alone --------------------------------------------------------------

BREAKER = {"BREAKER_FAILURES": "3", "BREAKER_OPEN_S": "1",
           "MODEL_RETRIES": "0", "HEARTBEAT_MS": "20000",
           "EARLY_FLASH_TERMINATION": "false", "STREAM_WORKERS_MIN": "10"}


def open_pro(stack):
    stack.sim.set(pro_status=503)
    for _ in range(3):
        answer = stack.ask(sim=FAST)
        assert pro_of(stack, answer)["error_class"] == "HttpError503"
    assert stack.metric("circuit_state", model="pro") == 2


def circuit(stack):
    parts = stack.control("/health").json()["components"]
    return parts["flash"]["circuit"], parts["pro"]["circuit"]


def test_a_model_that_cannot_be_reached_is_left_alone():
    with Stack(web=None, env={**BREAKER, "BREAKER_OPEN_S": "60"}) as stack:
        assert circuit(stack) == ("closed", "closed")
        open_pro(stack)
        assert circuit(stack) == ("closed", "open")
        asked = stack.sim.stats()["pro"]["requests"]
        late = stack.lateness()
        answer = stack.ask(sim="flash.delay_ms=2000 chunk_ms=0")
        assert answer.names() == ["error", "preliminary", "done"]
        assert answer.data("error")["code"] == "pro_unavailable"
        assert answer.data("error")["retryable"] is True
        # It did not wait for Flash.
        assert answer.event("error").at < 1.5 + late()
        pro = pro_of(stack, answer)
        assert (pro["outcome"], pro["error_class"]) == ("unavailable",
                                                        "CircuitOpen")
        assert (pro["attempts"], pro["attempt_log"]) == (0, [])
        assert stack.sim.stats()["pro"]["requests"] == asked
        assert stack.metric("circuit_open_total", model="pro") == 1
        assert stack.metric("errors_total", **{"class": "CircuitOpen"}) == 1
        assert stack.metric("circuit_state", model="flash") == 0
        assert len(stack.log.lines(event="circuit_opened")) == 1
        stack.tandemd.send(signal.SIGHUP)  # a new configuration is a new try
        wait_until(lambda: circuit(stack) == ("closed", "closed"), 20,
                   "the reload")
        wait_until(lambda: pro_of(stack, stack.ask(sim=FAST))["http_status"] ==
                   503, 20, "a new attempt")


def test_a_run_that_can_ask_nobody_ends_at_once():
    with Stack(web=None, env=BREAKER | {"BREAKER_OPEN_S": "60"}) as stack:
        stack.sim.set(status=503)
        for _ in range(3):
            stack.ask(sim=FAST)
        assert circuit(stack) == ("open", "open")
        answer = stack.ask(sim=FAST)
        assert answer.names() == ["error", "error", "done"]
        # Nothing would wake us before the next heartbeat, in 20 s.
        assert answer.ended_at < 15
        assert stack.sim.stats()["flash"]["requests"] == 3
        assert stack.sim.stats()["pro"]["requests"] == 3


def test_one_call_of_the_whole_host_probes_and_closes_it():
    with Stack(web=None, env=BREAKER) as stack:
        open_pro(stack)
        stack.sim.reset()
        time.sleep(1.1)  # BREAKER_OPEN_S
        with stack.sim.held():
            streams = [stack.open(sim=FAST) for _ in range(8)]
            wait_until(lambda: len(drain(
                streams, 0.1, lambda one: "error" in one.names())) == 1, 20,
                "seven to be refused")
        assert drain(streams, 20) == []
        assert stack.sim.stats()["pro"]["requests"] == 1
        names = [stream.names() for stream in streams]
        assert sum("final" in one for one in names) == 1
        assert sum("error" in one for one in names) == 7
        assert circuit(stack) == ("closed", "closed")
        assert "final" in stack.ask(sim=FAST).names()
        assert stack.metric("circuit_open_total", model="pro") == 1
        assert len(stack.log.lines(event="circuit_closed")) == 1


def test_a_prober_that_is_killed_does_not_keep_the_place():
    with Stack(web=None, env={**BREAKER, "PRO_TIMEOUT_S": "5",
                              "RUN_DEADLINE_S": "20"}) as stack:
        open_pro(stack)
        stack.sim.reset()
        stack.sim.set(pro_fault="silent")
        time.sleep(1.1)  # BREAKER_OPEN_S
        stream = stack.open(sim=FAST).until_headers(20)
        wait_until(lambda: stack.sim.stats()["pro"]["requests"] == 1, 20,
                   "the probe")
        assert circuit(stack)[1] == "half_open"
        worker = stack.log.lines(event="run_accepted")[-1]["pid"]
        os.kill(worker, signal.SIGKILL)
        stream.close()
        stack.sim.reset()
        stack.expect_errors |= {"child_died", "child_crashed"}
        wait_until(lambda: "final" in stack.ask(sim=FAST).names(), 40,
                   "the next probe")
        assert circuit(stack)[1] == "closed"
        wait_until(lambda: stack.ledger.unpaired() == [], 20, "the orphan")


# ---- time-outs that follow ---------------------------------------------------

def test_time_outs_follow_what_calls_take():
    with Stack(web=None, env={"ADAPTIVE_TIMEOUTS": "true",
                              "FLASH_TIMEOUT_S": "5", "PRO_TIMEOUT_S": "30",
                              "EARLY_FLASH_TERMINATION": "false"}) as stack:
        assert stack.metric("timeout_seconds", model="flash") == 5
        assert stack.metric("timeout_seconds", model="pro") == 30
        runs = []
        for _ in range(10):  # a crowd would wait for itself
            runs += [stack.open(sim=FAST) for _ in range(6)]
            assert drain(runs[-6:], 20) == []
        end = stack.ledger.end(runs[0].run_id)
        assert (end["flash"]["timeout_ms"], end["pro"]["timeout_ms"]) == \
            (5000, 30000)
        # Down by a fifth, and not again within the minute.
        wait_until(lambda: stack.metric("timeout_seconds") == 4 + 24, 20,
                   "both changes")
        end = stack.ledger.end(stack.ask(sim=FAST).run_id)
        assert (end["flash"]["timeout_ms"], end["pro"]["timeout_ms"]) == \
            (4000, 24000)
        assert len(stack.log.lines(event="timeout_changed")) == 2
        wait_until(lambda: len(stack.ledger.changes()) == 2, 20, "the record")
        changes = [(one["what"], one["model"], one["from_ms"], one["to_ms"])
                   for one in stack.ledger.changes()]
        assert sorted(changes) == [("timeout", "flash", 5000, 4000),
                                   ("timeout", "pro", 30000, 24000)]
        assert stack.metric("model_call_duration_seconds_count",
                            model="flash") == 61


def test_time_outs_stay_as_configured_by_default(stack):
    runs = [stack.open(sim=FAST) for _ in range(60)]
    assert drain(runs, 40) == []
    assert stack.metric("timeout_seconds", model="flash") == 5
    assert stack.log.lines(event="timeout_changed") == []
