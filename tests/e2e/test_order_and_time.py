"""Events leave when they happen, through every web server and protocol."""

import pytest

from tandem import Stack

WAYS = [("lighttpd", "http"), ("lighttpd", "http2"), ("apache2", "http")]
SIM = "flash.delay_ms=300 flash.chunk_ms=0 pro.delay_ms=2000 pro.chunk_ms=0"


@pytest.fixture(scope="module", params=["lighttpd", "apache2"])
def server(request):
    with Stack(web=request.param) as stack:
        yield stack


@pytest.mark.parametrize("server, how", WAYS, indirect=["server"])
def test_each_event_arrives_when_its_model_has_answered(server, how):
    late = server.lateness()
    answer = server.ask(sim=SIM, how=how)
    assert answer.names() == ["preliminary", "final", "done"]
    assert 0.25 <= answer.event("preliminary").at <= 0.6 + late()
    assert 1.9 <= answer.event("final").at <= 2.4 + late()
    assert answer.event("done").at - answer.event("final").at <= 0.3 + late()
    assert answer.whole


def test_headers_do_not_wait_for_the_first_event(server):
    late = server.lateness()
    stream = server.open(sim="flash.delay_ms=2000 pro.delay_ms=2100"
                         ).until_headers(20)
    assert stream.header_at < 0.25 + late()
    assert stream.events == []
    assert stream.headers["content-type"] == \
        "text/event-stream; charset=utf-8"
    assert stream.headers["cache-control"] == "no-cache"
    assert stream.headers["x-accel-buffering"] == "no"
    stream.finish(20)
    assert stream.run_id == stream.data("done")["run_id"]


def test_a_comment_line_goes_out_while_nothing_happens(server):
    late = server.lateness()
    answer = server.ask(sim=SIM)
    beats = [at for text, at in answer.comments if text == ": hb"]
    assert len(beats) >= 1
    quiet = min(beats) - answer.event("preliminary").at
    assert 0.95 - late() <= quiet <= 1.3 + late()


def test_the_models_are_asked_at_the_same_time(server):
    late = server.lateness()
    done = server.ask(sim="flash.delay_ms=400 pro.delay_ms=500 chunk_ms=0"
                      ).data("done")
    late_ms = 1000 * late()
    assert 400 <= done["flash_ms"] <= 500 + late_ms
    assert 500 <= done["pro_ms"] <= 600 + late_ms
    assert done["total_ms"] < 700 + late_ms
