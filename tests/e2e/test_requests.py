"""What is wrong with a request is told by a status and fixed words."""

import json
import os
import pathlib
import re
import signal
import socket

import pytest

from exchange import fcgi_params, fcgi_record
from tandem import QUERY, Fcgi, Stack, wait_until

FAST = "flash.delay_ms=10 pro.delay_ms=30 chunk_ms=0"
STACK = {"env": {"MAX_BODY_BYTES": "2000", "MAX_QUERY_CHARS": "100"}}
KEY = "a-key-of-more-than-sixteen-bytes"

SECURITY_HEADERS = ["x-content-type-options", "x-frame-options",
                    "referrer-policy", "content-security-policy"]

CASES = [
    # name, method, path, body, headers, status, code
    ("broken JSON", "POST", QUERY, b'{"query": "hi"', {}, 400, "bad_json"),
    ("no body", "POST", QUERY, b"", {}, 400, "bad_json"),
    ("two documents", "POST", QUERY, b'{"query":"a"}{"query":"b"}', {}, 400,
     "bad_json"),
    ("bytes that are no text", "POST", QUERY, b"\xff\xfe", {}, 400,
     "bad_json"),
    ("JSON that is too deep", "POST", QUERY,
     b'{"query":"a","context":' + b'{"a":' * 40 + b"1" + b"}" * 40 + b"}", {},
     400, "bad_json"),
    ("no query", "POST", QUERY, {"context": {}}, {}, 422, "missing_query"),
    ("query of another type", "POST", QUERY, {"query": 7}, {}, 422,
     "invalid_query"),
    ("empty query", "POST", QUERY, {"query": " \n"}, {}, 422,
     "invalid_query"),
    ("query too long", "POST", QUERY, {"query": "x" * 101}, {}, 422,
     "query_too_long"),
    ("context of another type", "POST", QUERY,
     {"query": "a", "context": [1]}, {}, 422, "invalid_context"),
    ("unknown vocabulary", "POST", QUERY, {"query": "a", "events": "loud"},
     {}, 422, "invalid_events"),
    ("user of another type", "POST", QUERY, {"query": "a", "user": {}}, {},
     422, "invalid_user"),
    ("an array", "POST", QUERY, b"[1]", {}, 422, "invalid_body"),
    ("a body too large", "POST", QUERY, {"query": "x" * 3000}, {}, 413,
     "body_too_large"),
    ("another type", "POST", QUERY, b"<query/>",
     {"Content-Type": "text/xml"}, 415, "unsupported_media_type"),
    ("another resource", "POST", "/api/reasoning/other", {"query": "a"}, {},
     404, "not_found"),
    ("nothing there", "GET", "/nothing", None, {}, 404, "not_found"),
    ("no such run", "GET",
     "/api/experiments/01890000-0000-7000-8000-000000000000", None, {}, 404,
     "not_found"),
    ("not even an id", "GET", "/api/experiments/x", None, {}, 404,
     "not_found"),
    ("GET instead of POST", "GET", QUERY, None, {}, 405,
     "method_not_allowed"),
    ("DELETE instead of GET", "DELETE", "/health", None, {}, 405,
     "method_not_allowed"),
]


def check_error(answer, status, code):
    assert answer.status == status, answer
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert set(body) == {"error", "code"}
    assert body["code"] == code
    assert isinstance(body["error"], str) and body["error"]
    check_security_headers(answer)


def check_security_headers(answer):
    for name in SECURITY_HEADERS:
        assert name in answer.headers, f"{name} in {answer.headers}"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("how", ["http", "fastcgi"])
@pytest.mark.parametrize("method, path, body, headers, status, code",
                         [case[1:] for case in CASES],
                         ids=[case[0] for case in CASES])
def test_a_wrong_request_gets_its_status_and_code(
        stack, how, method, path, body, headers, status, code):
    accepted = len(stack.ledger.runs("accepted"))
    if how == "http":
        answer = stack.http(method, path, body, headers).finish(20)
    else:
        pool = "stream" if path.startswith("/api/reasoning/") else "control"
        answer = Fcgi(str(stack.folder / f"{pool}.sock"), method, path, body,
                      headers).finish(20)
    check_error(answer, status, code)
    if status == 405:
        wanted = "POST" if path == QUERY else "GET"
        assert wanted in answer.headers["allow"]
    assert len(stack.ledger.runs("accepted")) == accepted


def test_a_wrong_request_is_counted_as_rejected(stack):
    before = stack.metric("requests_total", outcome="rejected")
    stack.http("POST", QUERY, b"{").finish(20)
    assert stack.metric("requests_total", outcome="rejected") == before + 1


def test_a_body_above_the_web_servers_limit_is_413_too(stack):
    answer = stack.http("POST", QUERY, b"x" * (2 << 20)).finish(20)
    assert answer.status == 413


def test_curls_default_content_type_is_welcome(stack):
    answer = stack.open(sim=FAST, headers={
        "Content-Type": "application/x-www-form-urlencoded"}).finish(20)
    assert answer.status == 200


def test_a_chunked_body_is_as_good(stack):
    body = json.dumps({"query": f"chunked [[sim {FAST}]]"}).encode()
    answer = stack.http("POST", QUERY, raw=(
        b"POST /api/reasoning/query HTTP/1.1\r\nHost: x\r\n"
        b"Content-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" +
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))).finish(20)
    assert answer.status == 200
    assert answer.names()[-1] == "done"


def test_a_stream_has_the_security_headers_too(stack):
    check_security_headers(stack.ask(sim=FAST))


@pytest.mark.parametrize("path", ["/health", "/healthz", "/livez", "/readyz",
                                  "/metrics", "/api/experiments"])
def test_every_resource_has_the_security_headers(stack, path):
    answer = stack.get(path)
    assert answer.status == 200
    check_security_headers(answer)
    head = stack.http("HEAD", path).finish(20)
    assert head.status == 200
    assert head.body == b""


def test_health_and_healthz_say_the_same(stack):
    stack.ask(sim=FAST)
    bodies = []
    for path in ("/health", "/healthz"):
        answer = stack.get(path)
        body = answer.json()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z",
                            body.pop("timestamp"))
        bodies.append(body)
    assert bodies[0] == bodies[1]
    assert bodies[0]["status"] == "healthy"
    assert bodies[0]["service"] == "tandem"
    assert bodies[0]["components"]["vertex_ai"]["initialized"] is True
    assert bodies[0]["components"]["vertex_ai"]["retry_count"] == 0


def test_readyz_fails_while_nobody_can_write_and_livez_does_not():
    with Stack(web=None) as stack:
        def seen_without_a_scribe():
            # The first dead is replaced at once; those after it less soon.
            for pid in stack.workers("scribe"):
                os.kill(pid, signal.SIGKILL)
            seen.update({path: stack.control(path)
                         for path in ("/readyz", "/health", "/livez")})
            return seen["/readyz"].status == seen["/health"].status == 503

        seen = {}
        wait_until(seen_without_a_scribe, 20)
        assert seen["/readyz"].json()["failed"] == ["ledger"]
        assert seen["/livez"].status == 200
        wait_until(lambda: stack.control("/readyz").status == 200, 20)


# ---- the list of runs ----------------------------------------------------

def test_the_listing_pages_through_all_runs_newest_first():
    with Stack(web=None) as stack:
        assert stack.control("/api/experiments").json() == \
            {"experiments": [], "next_cursor": None}
        asked = [stack.ask(f"number {i}", sim=FAST).run_id for i in range(5)]
        seen, path = [], "/api/experiments?limit=2"
        while path:
            page = stack.control(path).json()
            assert len(page["experiments"]) <= 2
            seen += [run["id"] for run in page["experiments"]]
            cursor = page["next_cursor"]
            path = cursor and f"/api/experiments?limit=2&cursor={cursor}"
        assert seen == asked[::-1]


def test_one_run_is_shown_with_its_entries_and_text(stack):
    answer = stack.ask("show me", sim=FAST)
    run = stack.get(f"/api/experiments/{answer.run_id}").json()
    assert run["id"] == answer.run_id
    assert run["status"] == "ok"
    assert [entry["kind"] for entry in run["entries"]] == \
        ["accepted", "finished"]
    assert run["content"]["pro"] == \
        answer.data("final")["response"]["content"]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "cursor=x",
                                   "limit=100000000"])
def test_a_listing_that_makes_no_sense_is_refused_or_bounded(stack, query):
    answer = stack.get(f"/api/experiments?{query}")
    if answer.status == 200:
        assert len(answer.json()["experiments"]) <= 1000
    else:
        assert answer.status in (400, 422)
        check_security_headers(answer)


# ---- who may call --------------------------------------------------------

@pytest.fixture(scope="module")
def guarded():
    with Stack(env={"ENABLE_AUTH": "true", "API_KEY": KEY}) as stack:
        yield stack


@pytest.mark.parametrize("headers", [
    {}, {"X-API-Key": "wrong-key-of-sixteen-bytes"}, {"X-API-Key": KEY[:-1]},
    {"X-API-Key": KEY + "x"}, {"X-API-Key": ""}])
@pytest.mark.parametrize("method, path", [
    ("POST", QUERY), ("GET", "/metrics"), ("GET", "/api/experiments"),
    ("GET", "/nothing")])
def test_without_the_key_everything_but_health_is_401(guarded, method, path,
                                                      headers):
    body = {"query": "a"} if method == "POST" else None
    answer = guarded.http(method, path, body, headers).finish(20)
    check_error(answer, 401, "unauthorized")


@pytest.mark.parametrize("path", ["/health", "/healthz", "/livez",
                                  "/readyz"])
def test_health_needs_no_key(guarded, path):
    assert guarded.get(path).status == 200


def test_with_the_key_everything_is_open_and_the_key_is_never_told(guarded):
    key = {"X-API-Key": KEY}
    assert guarded.ask(sim=FAST, headers=key).names()[-1] == "done"
    assert guarded.get("/metrics", key).status == 200
    assert KEY not in guarded.tandemd.text()
    assert KEY.encode() not in pathlib.Path(guarded.ledger.path).read_bytes()


# ---- what no web server would send ---------------------------------------

def test_a_body_that_never_comes_ends_in_408_or_a_closed_connection():
    with Stack(web=None) as stack:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(15)
            peer.connect(str(stack.folder / "stream.sock"))
            params = {"REQUEST_METHOD": "POST", "REQUEST_URI": QUERY,
                      "SCRIPT_NAME": QUERY, "CONTENT_LENGTH": "100",
                      "CONTENT_TYPE": "application/json"}
            peer.sendall(fcgi_record(1, b"\0\1\0\0\0\0\0\0") +
                         fcgi_record(4, fcgi_params(params)) +
                         fcgi_record(4))
            said = b""
            while data := peer.recv(65536):
                said += data
        assert said == b"" or b"Status: 408" in said
        assert stack.ask(sim=FAST).names()[-1] == "done"


def test_a_peer_that_speaks_no_fastcgi_costs_no_worker():
    with Stack(web=None, env={"STREAM_WORKERS_MIN": "1",
                              "STREAM_WORKERS_MAX": "2"}) as stack:
        for greeting in (b"GET / HTTP/1.0\r\n\r\n", b"\1", b"\0" * 100):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(str(stack.folder / "stream.sock"))
                peer.sendall(greeting)
        assert stack.ask(sim=FAST, within=20).names()[-1] == "done"
