"""What happens to one model when the other has failed, as configured."""

import json

import pytest

from tandem import Stack

FAST = "flash.delay_ms=30 pro.delay_ms=1000 chunk_ms=0"


@pytest.fixture(scope="module")
def strict():
    with Stack(web=None, env={"FLASH_FAILURE_POLICY": "cancel",
                              "EARLY_FLASH_TERMINATION": "false"}) as stack:
        yield stack


def test_cancel_ends_the_accurate_model_when_the_fast_one_fails(strict):
    late = strict.lateness()
    answer = strict.ask(sim=f"{FAST} flash.fault=cut")
    assert answer.names() == ["error", "done"]
    assert answer.data("error")["code"] == "flash_incomplete"
    assert answer.data("error")["terminal"] is True
    assert answer.ended_at < 0.3 + late()
    assert strict.ledger.end(answer.run_id)["pro"]["cancelled"] == "sibling"


def test_without_early_termination_the_fast_answer_may_come_second(strict):
    answer = strict.ask(
        sim="flash.delay_ms=200 pro.delay_ms=30 chunk_ms=0")
    assert answer.names() == ["final", "preliminary", "done"]
    assert answer.data("done")["salvage"] == "none"


def test_the_deadline_of_the_run_cuts_models_that_would_have_had_more_time():
    with Stack(web=None, env={"RUN_DEADLINE_S": "1.5",
                              "AUDIT_SHARE_S": "0.5"}) as stack:
        late = stack.lateness()
        answer = stack.ask(sim="delay_ms=10000")
        assert answer.names()[-1] == "done"
        assert answer.data("done")["status"] == "timeout"
        assert 0.9 <= answer.ended_at <= 1.3 + late()


def test_personal_text_is_stored_and_sent_on_redacted():
    with Stack(web=None) as stack:
        secret = "kim@example.org"
        answer = stack.ask(f"write to {secret}, password=hunter2hunter2",
                           context={"mail": secret, "password": "tiger"},
                           sim=FAST, events="staged")
        stored = b"".join(stack.ledger.content(answer.run_id).values())
        everything = (stack.tandemd.text().encode() + bytes(answer.body) +
                      stored)
        for text in (b"kim@example.org", b"hunter2hunter2", b"tiger"):
            assert text not in everything
        assert b"[EMAIL]" in stored and b"[CREDENTIAL]" in stored
        assert stack.metric("redactions_total", field_type="email") == 2


def test_a_query_is_not_marked_because_of_the_users_name():
    with Stack(web=None) as stack:
        answer = stack.ask(user="kim@example.org", context={"a": 1}, sim=FAST)
        accepted = stack.ledger.entries(answer.run_id)[0]["body"]
        assert {part["part"]: part["cleaned"]
                for part in accepted["content"]} == \
            {"query": False, "context": False}
        assert "kim@example.org" not in json.dumps(accepted)
        assert stack.metric("redactions_total", field_type="email") == 1


@pytest.mark.parametrize("redacted", [True, False])
def test_models_see_personal_text_only_when_that_is_switched_on(redacted):
    with Stack(web=None, env={"REDACT_BEFORE_MODEL":
                              str(redacted).lower()}) as stack:
        stack.ask("write to kim@example.org", context={"tel": "+905331234567"},
                  sim=FAST)
        sent = json.dumps(stack.sim.requests())
        assert ("kim@example.org" in sent) == (not redacted)
        assert ("+905331234567" in sent) == (not redacted)
        assert ("[EMAIL]" in sent) == redacted
        stored = b"".join(row["body"] if isinstance(row["body"], bytes)
                          else row["body"].encode() for row in
                          stack.ledger.rows("SELECT body FROM content "
                              "WHERE part IN ('query', 'context')"))
        assert b"kim@example.org" not in stored
        assert b"+905331234567" not in stored
