"""Answers arrive byte for byte as the provider sent them, and are stored so.
"""

import time

import pytest

from tandem import Stack

STACK = {}
FAST = {"flash_delay_ms": 10, "pro_delay_ms": 60, "chunk_ms": 0}

TEXTS = {
    "emoji": "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467" * 40,
    "line separators": "one\u2028two\u2029three\u0085four",
    "sse in text": "data: no event\n\nevent: done\ndata: {}\n\nid: 1\n:",
    "carriage returns": "a\rb\r\nc\n\n\r\n\r\rd",
    "json in text": '{"candidates":[{"finishReason":"STOP"}]} \\u0041 "\\',
    "directives": "[DONE] [[sim",
    "edges of utf-8": "\x7f\u0080\u07ff\u0800\uffff\U00010000\U0010ffff",
    "blanks at both ends": "  \t x \n ",
    "controls": "".join(map(chr, range(1, 32))),
}


def answers(stack, **settings):
    """What the client got and what is stored, for both models."""
    stack.sim.set(**{**FAST, **settings})
    try:
        answer = stack.ask(within=30)
    finally:
        stack.sim.reset()
    assert answer.names() == ["preliminary", "final", "done"]
    content = stack.ledger.content(answer.run_id)
    for event, part in (("preliminary", "flash"), ("final", "pro")):
        got = answer.data(event)["response"]["content"]
        assert got.encode() == content[part]
        yield got


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("split", [0, 1, 3])
def test_text_is_neither_changed_nor_lost(stack, name, split):
    text = TEXTS[name]
    for got in answers(stack, text=text, split=split):
        assert got == text


def test_each_event_is_one_line_whatever_the_text_holds(stack):
    stack.sim.set(**FAST, text=TEXTS["carriage returns"])
    answer = stack.ask(events="both")
    stack.sim.reset()
    assert b"\r" not in answer.body
    lines = bytes(answer.body).split(b"\n")
    assert sum(line.startswith(b"data: ") for line in lines) == \
        len(answer.events)


@pytest.mark.parametrize("settings", [
    {"chunks": 1}, {"chunks": 200}, {"chunks": 50, "split": 1000}])
def test_a_megabyte_arrives_whole(stack, settings):
    size = 1 << 20
    first, second = answers(stack, text_bytes=size, **settings)
    assert len(first.encode()) == len(second.encode()) == size
    assert first == second


def test_a_reader_that_dawdles_still_gets_all_of_it(stack):
    stack.sim.set(**FAST, text_bytes=1 << 20)
    stream = stack.open()
    stream.until_headers(20)
    time.sleep(1)
    stream.finish(20)
    stack.sim.reset()
    assert len(stream.data("final")["response"]["content"].encode()) == 1 << 20


def test_an_answer_above_the_limit_is_an_error_not_a_part():
    with Stack(web=None, env={"MAX_ANSWER_BYTES": "65536"}) as stack:
        stack.sim.set(**FAST, text_bytes=70000)
        answer = stack.ask()
        assert "final" not in answer.names()
        assert answer.names()[-1] == "done"


@pytest.mark.parametrize("fault", ["surrogate", "badutf8"])
def test_text_that_is_no_text_is_cleaned_and_marked(stack, fault):
    stack.sim.set(**FAST, fault=fault)
    answer = stack.ask()
    stack.sim.reset()
    assert answer.names()[-1] == "done"
    content = stack.ledger.content(answer.run_id)
    for part in content.values():
        part.decode("utf-8")
    if "final" in answer.names():
        assert "\ufffd" in answer.data("final")["response"]["content"]
        parts = {part["part"]: part
                 for part in stack.ledger.end(answer.run_id)["content"]}
        assert parts["pro"]["cleaned"] is True


@pytest.mark.parametrize("query, stored", [
    ("nul \x00 inside", "nul \ufffd inside"),
    ("half a pair \ud83d", "half a pair \ufffd"),
    ("\u2028 \U0001f600 stays", "\u2028 \U0001f600 stays"),
])
def test_a_query_is_stored_as_text_that_any_database_takes(stack, query,
                                                           stored):
    answer = stack.ask(query, sim="flash.delay_ms=1 pro.delay_ms=9")
    content = stack.ledger.content(answer.run_id)["query"].decode()
    assert content.startswith(stored)
