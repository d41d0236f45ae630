"""modelsim by itself: its wire, its faults, its counters, its cost."""

import asyncio
import contextlib
import json
import os
import pathlib
import random
import re
import resource
import signal
import socket
import subprocess
import time

import pytest

from lateness import Lateness

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / os.environ.get("TANDEM_BUILD", "build/gcc") / "modelsim"
IS_SANITIZED = b"__asan_init" in PROGRAM.read_bytes() \
    if PROGRAM.exists() else False

VERTEX = "/v1/projects/p/locations/global/publishers/google/models/"
DEVELOPER = "/v1beta/models/"
CHAT = "/v1/chat/completions"
STREAM = ":streamGenerateContent?alt=sse"
FLASH = VERTEX + "gemini-2.5-flash" + STREAM
PRO = VERTEX + "gemini-2.5-pro" + STREAM
FAST = "delay_ms=0,chunk_ms=0"
BEARER = {"Authorization": "Bearer anything"}


def prompt(text="Why is the sky blue?"):
    return {"contents": [{"role": "user", "parts": [{"text": text}]}]}


def chat(text="Why is the sky blue?", **more):
    return {"model": "some-flash", "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": text}], **more}


def wait_until(condition, within=20.0):
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.002)


# ---- a client that sees bytes ---------------------------------------------

class Client:
    """One connection.  Keeps what came, and how the connection ended."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.raw = bytearray()
        self.ended = None  # "closed" or "reset"

    def send(self, method, path, body=None, headers=None):
        text = "" if body is None else \
            body if isinstance(body, str) else json.dumps(body)
        data = text.encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: sim",
                 f"Content-Length: {len(data)}"]
        lines += [f"{name}: {value}" for name, value in
                  (BEARER | (headers or {})).items() if value is not None]
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        return self

    def read(self, timeout):
        """One read; False at the end or when nothing came."""
        self.socket.settimeout(timeout)
        try:
            data = self.socket.recv(65536)
        except socket.timeout:
            return False
        except ConnectionResetError:
            self.ended = "reset"
            return False
        if not data:
            self.ended = "closed"
        self.raw += data
        return bool(data)

    def may_be_whole(self):
        """So that a long answer is not taken apart after every read."""
        return self.raw.endswith(b"0\r\n\r\n") or len(self.raw) < 100000

    def until_chunks(self, count):
        """Reads headers and so many chunks, however long they take."""
        while (answer := Answer(self.raw)).status == 0 or \
                len(answer.chunks) < count:
            assert self.read(20), answer.raw

    def answer(self, within=20.0):
        """Reads until the answer is whole, the end, or the time is over."""
        deadline = time.monotonic() + within
        while not self.may_be_whole() or not Answer(self.raw).is_whole:
            left = deadline - time.monotonic()
            if left <= 0 or not self.read(left):
                break
        answer = Answer(self.raw)
        answer.ended = self.ended
        return answer

    def close(self):
        self.socket.close()


class Answer:
    def __init__(self, raw):
        raw = bytes(raw)
        head, found, rest = raw.partition(b"\r\n\r\n")
        self.raw, self.status, self.headers = raw, 0, {}
        self.chunks, self.is_whole, self.ended = [], False, None
        if not found:
            return
        first, *lines = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        for line in lines:
            name, _, value = line.partition(": ")
            self.headers[name.lower()] = value
        if "content-length" in self.headers:
            self.chunks = [rest]
            self.is_whole = len(rest) == int(self.headers["content-length"])
        elif self.headers.get("transfer-encoding") == "chunked":
            self._split(rest)
        else:
            self.chunks = [rest]

    def _split(self, rest):
        at = 0
        while (end := rest.find(b"\r\n", at)) != -1:
            length = int(rest[at:end], 16)
            if length == 0:
                self.is_whole = True
                return
            self.chunks.append(rest[end + 2:end + 2 + length])
            at = end + 2 + length + 2

    @property
    def body(self):
        return b"".join(self.chunks)

    def json(self):
        return json.loads(self.body)

    def events(self, end="\r\n\r\n"):
        *events, rest = self.body.decode().split(end)
        assert rest == ""
        assert all(event.startswith("data: ") for event in events)
        return [event.removeprefix("data: ") for event in events]

    def objects(self, end="\r\n\r\n"):
        return [json.loads(event) for event in self.events(end)
                if event != "[DONE]"]

    def text(self):
        """Of a Gemini stream."""
        parts = [part for one in self.objects()
                 for candidate in one.get("candidates", [])
                 for part in candidate.get("content", {}).get("parts", [])]
        return "".join(part["text"] for part in parts
                       if not part.get("thought"))


# ---- the program ----------------------------------------------------------

class Sim:
    def __init__(self, *flags):
        resource.setrlimit(resource.RLIMIT_NOFILE, (
            resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        self.process = subprocess.Popen(
            [PROGRAM, "--port", "0", *flags], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        self.line = self.process.stdout.readline()
        found = re.fullmatch(
            r"modelsim listening on http://127\.0\.0\.1:(\d+)\n", self.line)
        assert found, self.line + self.process.stderr.read()
        self.port = int(found[1])
        self.clients = []

    def client(self):
        self.clients.append(Client(self.port))
        return self.clients[-1]

    def open(self, path, body=None, sim=FAST, headers=None, method="POST"):
        return self.client().send(method, path, body,
                                  {"X-Sim": sim} | (headers or {}))

    def ask(self, *args, within=20.0, **more):
        client = self.open(*args, **more)
        answer = client.answer(within)
        client.close()
        return answer

    def get(self, path):
        return self.ask(path, method="GET").json()

    def stats(self, role=None):
        stats = self.get("/_sim/stats")
        return stats[role] if role else stats

    def set(self, **settings):
        settings = {key.replace("__", "."): value
                    for key, value in settings.items()}
        answer = self.ask("/_sim/set", settings)
        assert answer.status == 200, answer.body

    def reset(self):
        assert self.ask("/_sim/reset", "").status == 200

    def lateness(self):
        return Lateness([self.process.pid])

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat") \
            .read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def stop(self, how=signal.SIGTERM):
        """How long it took."""
        begin = time.monotonic()
        self.process.send_signal(how)
        try:
            code = self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
            for client in self.clients:
                client.close()
        assert (code, self.process.stderr.read()) == (0, "")
        return time.monotonic() - begin


@contextlib.contextmanager
def running(*flags):
    sim = Sim(*flags)
    try:
        yield sim
    finally:
        if sim.process.poll() is None:
            sim.stop()


@pytest.fixture(scope="module", name="shared")
def shared_sim():
    with running() as sim:
        yield sim


@pytest.fixture(name="sim")
def fresh_sim(shared):
    shared.reset()
    yield shared
    for client in shared.clients:
        client.close()
    shared.clients.clear()
    wait_until(lambda: all(shared.stats(role)["open"] == 0
                           for role in ("flash", "pro", "token")))


# ---- start and stop -------------------------------------------------------

@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_whatever_is_under_way(how):
    with running() as sim:
        faults = ("none", "silent", "stall", "drip", "slow_headers",
                  "comments") * 5 + ("huge_line",)
        for fault in faults:
            sim.open(FLASH, prompt(), f"delay_ms=0,chunk_ms=9,fault={fault}")
        sim.open(FLASH, prompt(), "delay_ms=60000")
        sim.client().socket.sendall(b"POST /v1/ch")
        wait_until(lambda: sim.stats("flash")["requests"] ==
                   len(faults) + 1)
        late = sim.lateness()
        assert sim.stop(how) < (3 if IS_SANITIZED else 1) + late()


def run_program(*flags):
    return subprocess.run([PROGRAM, *flags], capture_output=True, text=True,
                          timeout=60, check=False)


@pytest.mark.parametrize("flags, words", [
    (["--nonsense"], "no option --nonsense"),
    (["--port"], "--port needs a value"),
    (["--port", "65536"], "--port is a number from 0 to 65535"),
    (["--port", "12x"], "--port is a number"),
    (["--listen", "localhost"], "localhost is no IPv4 address"),
    (["--pro-delay-ms", "-1"], "delay_ms is a number from 0"),
    (["--flash-fault", "flood"], 'no fault "flood"'),
    (["--set", "chunks"], "--set takes KEY=VALUE"),
    (["--set", "colour=red"], 'no key "colour"'),
    (["--chunks", "0"], "chunks is a number from 1"),
    (["surplus"], 'unexpected argument "surplus"'),
])
def test_a_bad_flag_is_refused_with_the_reason(flags, words):
    done = run_program(*flags)
    assert done.returncode == 2
    assert done.stdout == ""
    assert words in done.stderr


def test_a_port_that_is_taken_is_an_error_that_says_so(sim):
    done = run_program("--port", str(sim.port))
    assert done.returncode == 1
    assert f"127.0.0.1:{sim.port}" in done.stderr
    assert "in use" in done.stderr


def test_the_port_is_free_again_right_after_the_end():
    first = Sim()
    client = first.open(FLASH, prompt(), "delay_ms=60000")
    first.stop()
    client.close()
    with running("--port", str(first.port)) as second:
        assert second.port == first.port


def test_help_and_manual_name_every_flag_fault_and_key():
    done = run_program("--help")
    assert (done.returncode, done.stderr) == (0, "")
    named = set(re.findall(r"--([a-z-]+)", done.stdout))
    manual = (ROOT / "docs/modelsim.1").read_text(encoding="utf-8")
    described = re.findall(r"^\.It Fl -([a-z-]+)", manual, re.M)
    assert named == set(described)
    assert len(described) == len(named) == 13
    source = (ROOT / "app/modelsim/settings.c").read_text(encoding="utf-8")
    for fault in re.findall(r'\[FAULT_\w+\] = "(\w+)"', source):
        assert f".It Cm {fault}\n" in manual, fault
    for key in re.findall(r'{ "(\w+)", offsetof', source) + \
            re.findall(r'strcmp\(key, "(\w+)"\)', source):
        assert f".It Cm {key}" in manual, key


def test_version_is_one_line():
    done = run_program("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"modelsim \d+\.\d+\.\d+\n", done.stdout)


# ---- the Gemini wire ------------------------------------------------------

@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_vertex_counts_in_the_last_event_only(sim, version):
    answer = sim.ask(FLASH.replace("v1", version), prompt(),
                     FAST + ",chunks=4,thoughts=1")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream"
    events = answer.objects()
    assert len(events) == 5
    for event in events:
        assert event["modelVersion"] == "gemini-2.5-flash"
        assert event["responseId"] == events[0]["responseId"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z",
                            event["createTime"])
        assert "index" not in event["candidates"][0]
    for event in events[:-1]:
        assert event["usageMetadata"] == {"trafficType": "ON_DEMAND"}
        assert "finishReason" not in event["candidates"][0]
    assert events[0]["candidates"][0]["content"]["parts"][0]["thought"] is True
    assert events[-1]["candidates"][0]["finishReason"] == "STOP"
    usage = events[-1]["usageMetadata"]
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + \
        usage["candidatesTokenCount"] + usage["thoughtsTokenCount"]
    assert usage["candidatesTokenCount"] == -(-len(answer.text().encode()) //
                                              4)


def test_the_developer_api_counts_on_in_every_event(sim):
    events = sim.ask(DEVELOPER + "gemini-2.5-pro" + STREAM, prompt(),
                     FAST + ",chunks=5").objects()
    counts = [event["usageMetadata"]["candidatesTokenCount"]
              for event in events]
    assert len(counts) == 5
    assert counts == sorted(set(counts))
    for event in events:
        assert event["candidates"][0]["index"] == 0
        assert "createTime" not in event
        assert "trafficType" not in event["usageMetadata"]


def test_without_alt_sse_a_stream_is_one_json_array(sim):
    path = FLASH.replace("?alt=sse", "")
    for thoughts in (0, 2):
        answer = sim.ask(path, prompt(), FAST + f",thoughts={thoughts}")
        assert answer.headers["content-type"].startswith("application/json")
        assert len(answer.json()) == 8 + thoughts
        assert answer.body.startswith(b"[{\n")
    failed = sim.ask(path, prompt(), FAST + ",status=429")
    assert failed.json()[0]["error"]["code"] == 429
    blocked = sim.ask(path, prompt(), FAST + ",fault=blocked")
    assert blocked.json()[0]["promptFeedback"]["blockReason"]


def test_generate_content_answers_with_one_object(sim):
    answer = sim.ask(VERTEX + "gemini-2.5-pro:generateContent", prompt(),
                     FAST + ",thoughts=1")
    assert int(answer.headers["content-length"]) == len(answer.body)
    body = answer.json()
    thought, said = body["candidates"][0]["content"]["parts"]
    assert thought["thought"] is True
    assert "Rayleigh" in said["text"]
    assert body["usageMetadata"]["totalTokenCount"] > 0


def test_an_error_is_pretty_json_with_its_details(sim):
    answer = sim.ask(FLASH, prompt(),
                     FAST + ",status=429,retry_delay_s=36.429760048")
    assert answer.status == 429
    assert len(answer.body.splitlines()) > 6
    error = answer.json()["error"]
    assert error["status"] == "RESOURCE_EXHAUSTED"
    assert error["details"] == [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo",
         "retryDelay": "36.430s"}]
    bare = sim.ask(FLASH, prompt(), FAST + ",status=429").json()["error"]
    assert "details" not in bare
    zero = sim.ask(FLASH, prompt(), FAST + ",status=429,retry_delay_s=0")
    assert zero.json()["error"]["details"][0]["retryDelay"] == "0s"
    quota = sim.ask(DEVELOPER + "x" + STREAM, prompt(), FAST + ",status=429")
    assert quota.json()["error"]["details"][0]["@type"].endswith(
        "QuotaFailure")


@pytest.mark.parametrize("status, word", [
    (400, "INVALID_ARGUMENT"), (401, "UNAUTHENTICATED"),
    (403, "PERMISSION_DENIED"), (404, "NOT_FOUND"), (500, "INTERNAL"),
    (503, "UNAVAILABLE"), (504, "DEADLINE_EXCEEDED"), (599, "UNKNOWN")])
def test_every_status_has_its_word(sim, status, word):
    answer = sim.ask(FLASH, prompt(), FAST + f",status={status}")
    assert answer.status == status
    assert answer.json()["error"]["code"] == status
    assert answer.json()["error"]["status"] == word


@pytest.mark.parametrize("path", [
    "/", "/v1/models", VERTEX, VERTEX + "a/b" + STREAM, VERTEX + "m:count",
    "/v1/projects//locations/l/publishers/google/models/m" + STREAM,
    "/v1/projects/p/publishers/google/models/m" + STREAM,
    DEVELOPER + ":generateContent", DEVELOPER + "m%20n:generateContent",
    DEVELOPER + "m" * 200 + ":generateContent", "/_sim/nothing"])
def test_other_paths_are_not_found(sim, path):
    assert sim.ask(path, prompt()).status == 404


def test_a_model_wants_a_post(sim):
    assert sim.ask(FLASH, method="GET").status == 404


@pytest.mark.parametrize("body", ["", "[]", "{", '{"contents": []}',
                                  '{"contents": "x"}'])
def test_a_malformed_request_is_an_invalid_argument(sim, body):
    answer = sim.ask(FLASH, body)
    assert answer.status == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"


# ---- the OpenAI wire ------------------------------------------------------

def test_openai_streams_chunks_then_usage_then_done(sim):
    answer = sim.ask(CHAT, chat(stream=True,
                                stream_options={"include_usage": True}),
                     FAST + ",chunks=3,thoughts=2")
    assert b"\r" not in answer.body
    assert answer.events("\n\n")[-1] == "[DONE]"
    chunks = answer.objects("\n\n")
    usage = chunks.pop()
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens_details"] == {
        "reasoning_tokens": 128}
    assert all(chunk["usage"] is None for chunk in chunks)
    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert [choice["finish_reason"] for choice in choices] == \
        [None] * 6 + ["stop"]
    assert "reasoning_content" in choices[1]["delta"]
    assert "Rayleigh" in "".join(choice["delta"].get("content", "")
                                 for choice in choices)
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}


def test_openai_gives_usage_only_when_asked(sim):
    chunks = sim.ask(CHAT, chat(stream=True)).objects("\n\n")
    assert all("usage" not in chunk for chunk in chunks)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_openai_without_stream_is_one_object(sim):
    body = sim.ask(CHAT, chat()).json()
    assert body["object"] == "chat.completion"
    assert "Rayleigh" in body["choices"][0]["message"]["content"]
    assert body["usage"]["total_tokens"] > 0


def test_openai_errors_have_its_own_shape(sim):
    limited = sim.ask(CHAT, chat(), FAST + ",status=429,retry_delay_s=1.5")
    assert limited.headers["retry-after"] == "1.5"
    assert limited.json()["error"]["code"] == "rate_limit_exceeded"
    assert sim.ask(CHAT, chat(), FAST + ",status=500").json()["error"] == {
        "message": "The server had an error processing your request.",
        "type": "server_error", "param": None, "code": None}
    no_model = {"messages": [{"role": "user", "content": "x"}]}
    assert sim.ask(CHAT, no_model).status == 400


def test_openai_content_may_be_a_list_of_parts(sim):
    body = chat()
    body["messages"][1]["content"] = [
        {"type": "image_url", "image_url": {"url": "data:,"}},
        {"type": "text", "text": "Why is the sky blue? [[sim text=seen]]"}]
    assert sim.ask(CHAT, body).json()["choices"][0]["message"]["content"] == \
        "seen"


# ---- credentials ----------------------------------------------------------

NOBODY = {"Authorization": None}


@pytest.mark.parametrize("path, status, word", [
    (FLASH, 401, "UNAUTHENTICATED"),
    (DEVELOPER + "m" + STREAM, 403, "PERMISSION_DENIED")])
def test_a_caller_without_credentials_is_refused(sim, path, status, word):
    answer = sim.ask(path, prompt(), headers=NOBODY)
    assert answer.status == status
    assert answer.json()["error"]["status"] == word
    assert answer.json()["error"]["details"][0]["reason"] == \
        "CREDENTIALS_MISSING"


def test_openai_without_credentials_is_refused(sim):
    answer = sim.ask(CHAT, chat(), headers=NOBODY)
    assert answer.status == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_any_credential_opens_the_door(sim):
    path = DEVELOPER + "m" + STREAM
    for headers in (BEARER, NOBODY | {"x-goog-api-key": "k"}):
        assert sim.ask(path, prompt(), headers=headers).status == 200
    assert sim.ask(path + "&key=k", prompt(), headers=NOBODY).status == 200
    for empty in ("Bearer ", "Basic abc"):
        assert sim.ask(path, prompt(),
                       headers={"Authorization": empty}).status == 403


def test_a_demanded_key_is_the_only_one_taken():
    with running("--api-key", "right") as sim:
        wrong = {"x-goog-api-key": "wrong", "Authorization": None}
        right = {"x-goog-api-key": "right", "Authorization": None}
        path = DEVELOPER + "m" + STREAM
        assert sim.ask(path, prompt(), headers=right).status == 200
        bad = sim.ask(path, prompt(), headers=wrong)
        assert bad.status == 400
        assert bad.json()["error"]["details"][0]["reason"] == \
            "API_KEY_INVALID"
        assert b"wrong" not in bad.body
        assert sim.ask(FLASH, prompt(), headers=wrong).status == 401
        assert sim.ask(FLASH, prompt()).status == 401
        guess = {"Authorization": "Bearer modelsim-token-1"}
        assert sim.ask(FLASH, prompt(), headers=guess).status == 401
        token = sim.ask("/token", JWT).json()["access_token"]
        given = {"Authorization": f"Bearer {token}"}
        assert sim.ask(FLASH, prompt(), headers=given).status == 200


def test_no_auth_lets_everybody_in():
    with running("--no-auth") as sim:
        assert sim.ask(FLASH, prompt(), headers=NOBODY).status == 200
        assert sim.ask(CHAT, chat(), headers=NOBODY).status == 200


# ---- tokens ---------------------------------------------------------------

JWT = ("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
       "&assertion=a.b.c")
REFRESH = ("grant_type=refresh_token&refresh_token=r&client_id=i"
           "&client_secret=s")
METADATA = "/computeMetadata/v1/instance/service-accounts/default/token"


@pytest.mark.parametrize("form", [JWT, REFRESH])
def test_a_grant_is_exchanged_for_a_token(sim, form):
    answer = sim.ask("/token", form, headers=NOBODY)
    assert answer.status == 200
    token = answer.json()
    assert token["expires_in"] == 3599
    assert token["token_type"] == "Bearer"
    again = sim.ask("/token", form, headers=NOBODY).json()
    assert again["access_token"] != token["access_token"]
    assert sim.stats("token")["completions"] == 2


@pytest.mark.parametrize("form, word", [
    ("", "invalid_request"), ("assertion=a", "invalid_request"),
    (JWT.replace("&assertion=a.b.c", ""), "invalid_request"),
    (JWT.replace("a.b.c", ""), "invalid_request"),
    (REFRESH.replace("client_secret", "x"), "invalid_request"),
    ("grant_type=password&username=u", "unsupported_grant_type")])
def test_a_form_without_its_fields_gets_no_token(sim, form, word):
    answer = sim.ask("/token", form)
    assert answer.status == 400
    assert answer.json()["error"] == word


def test_the_metadata_server_wants_its_header_and_shows_it(sim):
    given = {"Metadata-Flavor": "Google", "Authorization": None}
    answer = sim.ask(METADATA, method="GET", headers=given)
    assert answer.status == 200
    assert answer.headers["metadata-flavor"] == "Google"
    assert answer.json()["access_token"]
    assert sim.ask(METADATA, method="GET").status == 403


def test_the_token_endpoint_has_faults_of_its_own(sim):
    sim.set(token__status=400)
    assert sim.ask("/token", JWT).json()["error"] == "invalid_grant"
    sim.set(token__status=503)
    assert sim.ask("/token", JWT).json()["error"] == "internal_failure"
    sim.set(token__fault="none", token__expires_in=1)
    assert sim.ask("/token", JWT).json()["expires_in"] == 1
    assert sim.ask(FLASH, prompt()).status == 200


# ---- settings -------------------------------------------------------------

def test_nearer_settings_win():
    with running("--set", "text=flag", "--flash-delay-ms", "0",
                 "--pro-delay-ms", "0", "--chunk-ms", "0") as sim:
        assert sim.ask(FLASH, prompt(), "").text() == "flag"
        sim.set(text="control", pro__text="control for pro")
        assert sim.ask(FLASH, prompt(), "").text() == "control"
        assert sim.ask(PRO, prompt(), "").text() == "control for pro"
        assert sim.ask(FLASH, prompt(), "text=header").text() == "header"
        assert sim.ask(FLASH, prompt("hi [[sim text=in%20words]] you"),
                       "text=header").text() == "in words"
        sim.reset()
        assert sim.ask(FLASH, prompt(), "").text() == "flag"


def test_a_text_tells_when_it_was_sent(sim):
    began = time.monotonic_ns() // 1000
    words = prompt("[[sim delay_ms=20 chunks=1 "
                   "text=so%20it%20is,%20at%20{{sent_mono_us}}!]]")
    text = sim.ask(FLASH, words, "").text()
    sent = re.fullmatch(r"so it is, at (\d{16})!", text)
    assert sent, text
    assert began + 20000 <= int(sent[1]) <= time.monotonic_ns() // 1000


def test_a_prefix_speaks_to_one_role_only(sim):
    words = prompt("[[sim delay_ms=0 flash.text=F pro.text=P]]")
    assert sim.ask(FLASH, words, "").text() == "F"
    assert sim.ask(PRO, words, "").text() == "P"


def test_directives_count_in_user_turns_only(sim):
    body = {"systemInstruction": {"parts": [{"text": "[[sim text=S]]"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "[[sim chunks=1]] a"}]},
                {"role": "model", "parts": [{"text": "[[sim text=M]]"}]},
                {"parts": [{"text": "What is a tide?"}]}]}
    answer = sim.ask(FLASH, body)
    assert len(answer.objects()) == 1
    assert "moon" in answer.text()


@pytest.mark.parametrize("how", ["text=%zz", "colour=red", "fault", "=1",
                                 "flash.=1", "status=200", "chunks=9e9",
                                 "text=%ff", "text=%00", "text=%4"])
def test_a_bad_setting_is_a_400_that_says_why(sim, how):
    answer = sim.ask(FLASH, prompt(), how)
    assert answer.status == 400
    assert answer.json()["error"]["message"] != \
        "Request contains an invalid argument."
    assert sim.ask(FLASH, prompt(f"[[sim {how}]]")).status == 400


def test_an_open_directive_is_a_400(sim):
    assert sim.ask(FLASH, prompt("[[sim text=a")).status == 400


def test_a_bad_control_request_changes_nothing(sim):
    for bad in ('{"text": "new", "chunks": -1}', '{"chunks": null}', "[1]",
                "", '{"text": "%s"}' % ("x" * 8192)):
        answer = sim.ask("/_sim/set", bad)
        assert answer.status == 400
        assert answer.json()["error"]
    assert sim.ask(FLASH, prompt()).text() != "new"


def test_a_fault_can_be_limited_to_some_requests(sim):
    sim.set(flash__status=503, flash__times=2)
    statuses = [sim.ask(FLASH, prompt()).status for _ in range(4)]
    assert statuses == [503, 503, 200, 200]
    assert sim.ask(PRO, prompt()).status == 200


@pytest.mark.parametrize("length", [0, 1, 2, 65, 1000, 100001])
def test_text_bytes_are_exactly_so_many(sim, length):
    answer = sim.ask(FLASH, prompt(), FAST + f",text_bytes={length}")
    assert len(answer.text().encode()) == length
    assert length < 100 or "📈" in answer.text()


def test_model_version_and_finish_are_as_told(sim):
    events = sim.ask(FLASH, prompt(),
                     FAST + ",model_version=other-1,finish=RECITATION"
                     ).objects()
    assert {event["modelVersion"] for event in events} == {"other-1"}
    assert events[-1]["candidates"][0]["finishReason"] == "RECITATION"


@pytest.mark.parametrize("split", [1, 2, 3, 7, 1000])
def test_split_bounds_every_write_and_changes_no_byte(sim, split):
    words = FAST + ",text=%F0%9F%98%80 smile %E6%95%B0"
    words = words.replace(" ", "%20")
    answer = sim.ask(FLASH, prompt(), words + f",split={split}")
    assert answer.text() == "\U0001f600 smile 数"
    sizes = [len(chunk) for chunk in answer.chunks]
    assert max(sizes) <= split
    assert answer.is_whole


def test_times_are_kept(sim):
    late = sim.lateness()
    begin = time.monotonic()
    client = sim.open(FLASH, prompt(), "delay_ms=300,chunk_ms=50,chunks=5")
    assert client.read(20)
    first = time.monotonic() - begin
    assert client.answer().is_whole
    last = time.monotonic() - begin
    assert 0.295 <= first < 0.45 + late()
    assert 0.495 <= last < 0.7 + late()


async def ask_and_time(port, delay_ms, leaves_ms=None):
    """How many seconds after its delay the answer came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps(prompt())
    begin = time.monotonic()
    writer.write((f"POST {FLASH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                  f"t\r\nX-Sim: chunks=1,delay_ms={delay_ms}\r\n"
                  f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
    try:
        if leaves_ms is not None:
            await asyncio.sleep(leaves_ms / 1000)
            return 0.0
        await reader.readuntil(b"\r\n0\r\n\r\n")
        return time.monotonic() - begin - delay_ms / 1000
    finally:
        writer.close()


async def ask_at_many_times(port):
    """Half of them leave, the last to come first."""
    dice = random.Random(5)
    stay = [ask_and_time(port, dice.randrange(300, 900)) for _ in range(200)]
    leave = [ask_and_time(port, delay_ms, leaves_ms=1100 - delay_ms)
             for delay_ms in range(600, 1000, 2)]
    both = stay + leave
    dice.shuffle(both)
    return await asyncio.gather(*both)


def test_many_requests_wait_each_for_its_own_time(sim):
    lateness = sim.lateness()
    late = asyncio.run(ask_at_many_times(sim.port))
    assert -0.002 < min(late)
    assert max(late) < 0.15 + lateness()
    wait_until(lambda: sim.stats("flash")["open"] == 0)
    stats = sim.stats("flash")
    assert (stats["completions"], stats["aborted"]) == (200, 200)


# ---- faults ---------------------------------------------------------------

def fault(sim, name, more="", path=FLASH, within=20.0, body=None):
    return sim.ask(path, body or prompt(),
                   f"{FAST},chunks=6,fault={name}{more}", within=within)


def finish_of(answer):
    return [event["candidates"][0].get("finishReason")
            for event in answer.objects() if event.get("candidates")]


def test_silent_never_sends_a_byte(sim):
    answer = fault(sim, "silent", within=0.3)
    assert (answer.raw, answer.ended) == (b"", None)


@pytest.mark.parametrize("after", [0, 1, 3])
def test_stall_sends_some_chunks_and_stays(sim, after):
    client = sim.open(FLASH, prompt(), FAST + f",fault=stall,after={after}")
    client.until_chunks(after)
    answer = client.answer(0.3)
    assert answer.status == 200
    assert finish_of(answer) == [None] * after
    assert answer.ended is None


def test_drip_sends_a_byte_at_a_time(sim):
    late = sim.lateness()
    answer = fault(sim, "drip", ",drip_ms=20", within=0.5)
    assert 15 - late() / 0.02 <= len(answer.chunks) <= 26 + late() / 0.02
    assert {len(chunk) for chunk in answer.chunks} == {1}
    assert b"data: ".startswith(answer.body[:6])


def test_slow_headers_begin_with_a_slow_status_line(sim):
    late = sim.lateness()
    answer = fault(sim, "slow_headers", ",drip_ms=20", within=0.3)
    assert 8 - late() / 0.02 <= len(answer.raw) <= 17 + late() / 0.02
    assert b"HTTP/1.1 200 \r\nCo".startswith(answer.raw[:17])


def test_slow_headers_end_in_a_readable_answer(sim):
    answer = fault(sim, "slow_headers", ",drip_ms=1,text=x,chunks=1",
                   within=20)
    assert answer.ended == "closed"
    assert answer.text() == "x"
    assert sim.stats("flash")["completions"] == 1


@pytest.mark.parametrize("name, ended", [("cut", "closed"),
                                         ("reset", "reset")])
@pytest.mark.parametrize("after", [0, 2])
def test_cut_and_reset_end_inside_an_event(sim, name, ended, after):
    answer = fault(sim, name, f",after={after},chunk_ms=20")
    assert answer.status == 200
    assert answer.ended == ended
    assert not answer.is_whole
    whole, _, half = answer.body.rpartition(b"\r\n\r\n")
    assert whole.count(b"data: ") == after
    assert half.startswith(b"data: {") and b"finishReason" not in answer.body
    assert sim.stats("flash")["broken"] == 1
    assert sim.stats("flash")["aborted"] == 0


@pytest.mark.parametrize("name, ended", [("cut", "closed"),
                                         ("reset", "reset")])
def test_a_body_of_known_length_can_be_cut_too(sim, name, ended):
    answer = fault(sim, name, path=VERTEX + "m:generateContent")
    assert answer.ended == ended
    assert 0 < len(answer.body) < int(answer.headers["content-length"])


def test_nofinish_ends_cleanly_without_a_reason(sim):
    answer = fault(sim, "nofinish")
    assert answer.is_whole
    assert finish_of(answer) == [None] * 6
    openai = fault(sim, "nofinish", path=CHAT, body=chat(stream=True))
    assert openai.events("\n\n")[-1] == "[DONE]"
    assert b'"stop"' not in openai.body


def test_error_tail_is_raw_json_after_the_events(sim):
    answer = fault(sim, "error_tail")
    assert (answer.status, answer.is_whole) == (200, True)
    events, _, tail = answer.body.partition(b"\r\n\r\n{\n")
    assert events.count(b"data: ") == 2
    assert json.loads(b"{" + tail)["error"]["status"] == "UNAVAILABLE"


def test_tail_cut_is_half_an_error(sim):
    answer = fault(sim, "tail_cut")
    assert (answer.status, answer.is_whole) == (200, True)
    _, _, tail = answer.body.partition(b"\r\n\r\n{\n")
    assert b'"error"' in tail
    with pytest.raises(ValueError):
        json.loads(b"{" + tail)


def test_finish_then_cut_is_all_of_it_and_no_end(sim):
    answer = fault(sim, "finish_then_cut")
    assert not answer.is_whole
    assert finish_of(answer)[-1] == "STOP"
    openai = fault(sim, "finish_then_cut", path=CHAT, body=chat(stream=True))
    assert not openai.is_whole
    assert openai.events("\n\n")[-1] == "[DONE]"


def test_after_done_more_text_comes(sim):
    openai = fault(sim, "after_done", path=CHAT, body=chat(stream=True))
    assert openai.events("\n\n")[-2] == "[DONE]"
    assert '"more"' in openai.events("\n\n")[-1]
    assert finish_of(fault(sim, "after_done"))[-1] == "STOP"


def test_renamed_has_two_ids(sim):
    ids = [event["responseId"] for event in fault(sim, "renamed").objects()]
    assert len(set(ids)) == 2
    assert ids == sorted(ids, key=lambda id: id != ids[0])


@pytest.mark.parametrize("after", [0, 2])
def test_error_event_is_an_event(sim, after):
    events = fault(sim, "error_event", f",after={after}").objects()
    assert len(events) == after + 1
    assert events[-1]["error"]["code"] == 503
    openai = fault(sim, "error_event", path=CHAT, body=chat(stream=True))
    assert "error" in openai.objects("\n\n")[-1]


def test_finish_then_error_has_both(sim):
    events = fault(sim, "finish_then_error").objects()
    assert events[-2]["candidates"][0]["finishReason"] == "STOP"
    assert events[-1]["error"]["code"] == 503


def test_blocked_has_a_reason_and_no_candidate(sim):
    (event,) = fault(sim, "blocked").objects()
    assert "candidates" not in event
    assert event["promptFeedback"]["blockReason"] == "PROHIBITED_CONTENT"
    assert event["promptFeedback"]["blockReasonMessage"]
    (event,) = fault(sim, "blocked", path=DEVELOPER + "m" + STREAM).objects()
    assert "blockReasonMessage" not in event["promptFeedback"]
    openai = fault(sim, "blocked", path=CHAT, body=chat(stream=True))
    assert b'"content_filter"' in openai.body


@pytest.mark.parametrize("name, finish, word", [
    ("safety", "SAFETY", "content_filter"),
    ("max_tokens", "MAX_TOKENS", "length")])
def test_an_answer_that_is_stopped_keeps_what_came_before(sim, name, finish,
                                                          word):
    answer = fault(sim, name)
    assert finish_of(answer) == [None, None, finish]
    assert answer.text()
    openai = fault(sim, name, path=CHAT, body=chat(stream=True))
    assert openai.objects("\n\n")[-1]["choices"][0]["finish_reason"] == word


def test_empty_has_a_finish_and_no_text(sim):
    (event,) = fault(sim, "empty").objects()
    assert event["candidates"] == [{"finishReason": "STOP"}]
    thinking = fault(sim, "empty", ",finish=MAX_TOKENS,thoughts=3").objects()
    assert thinking[-1]["candidates"] == [{"finishReason": "MAX_TOKENS"}]
    assert thinking[-1]["usageMetadata"]["thoughtsTokenCount"] == 192


def test_html_is_a_page(sim):
    answer = fault(sim, "html")
    assert answer.status == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.body.startswith(b"<!DOCTYPE html>")


def test_comments_come_for_ever(sim):
    late = sim.lateness()
    answer = fault(sim, "comments", ",chunk_ms=10", within=0.3)
    assert answer.ended is None
    assert set(answer.chunks) == {b": keep-alive\n\n"}
    assert 15 - late() / 0.01 <= len(answer.chunks) <= 31 + late() / 0.01


def test_badjson_is_one_event_among_good_ones(sim):
    events = fault(sim, "badjson").events()
    bad = []
    for event in events:
        try:
            json.loads(event)
        except ValueError:
            bad.append(event)
    assert len(events) == 7
    assert len(bad) == 1
    assert bad[0] not in (events[0], events[-1])


def test_unknown_finish_is_a_word_nobody_knows(sim):
    assert finish_of(fault(sim, "unknown_finish"))[-1] == "SIM_UNKNOWN"


def test_finish_each_repeats_the_reason(sim):
    assert finish_of(fault(sim, "finish_each")) == ["STOP"] * 6


def test_huge_line_is_one_line(sim):
    answer = fault(sim, "huge_line")
    assert len(answer.body) > 16 << 20
    assert answer.body.count(b"data: ") == 1
    smaller = fault(sim, "huge_line", ",text_bytes=50000")
    assert len(smaller.text().encode()) == 50000


def test_text_can_be_damaged_in_two_ways(sim):
    assert b"One moment: \\ud83d and on" in fault(sim, "surrogate").body
    damaged = fault(sim, "badutf8").body
    assert b"One moment: \xff\xc0\x80\xed\xa0\x80 and on" in damaged


@pytest.mark.parametrize("name", [
    "status", "stall", "drip", "nofinish", "error_tail", "tail_cut",
    "error_event", "finish_then_error", "blocked", "safety", "max_tokens", "empty", "html",
    "comments", "badjson", "unknown_finish", "huge_line", "finish_each",
    "surrogate", "badutf8", "slow_headers"])
@pytest.mark.parametrize("path", [VERTEX + "m:generateContent", CHAT])
def test_every_fault_has_a_meaning_without_a_stream(sim, name, path):
    body = chat() if path == CHAT else prompt()
    client = sim.open(path, body,
                      f"{FAST},fault={name},drip_ms=1,text_bytes=20")
    assert client.read(20)
    client.answer(0.3)
    assert sim.stats("flash")["requests"] == 1


# ---- leaving --------------------------------------------------------------

LEAVING = {
    "before the first byte": "delay_ms=60000",
    "while it is silent": "delay_ms=0,fault=silent",
    "after the headers": "delay_ms=0,fault=stall,after=0",
    "between two chunks": "delay_ms=0,chunk_ms=60000",
    "in a drip": "delay_ms=0,fault=drip",
    "in slow headers": "delay_ms=0,fault=slow_headers",
    "in a storm of comments": "delay_ms=0,chunk_ms=10,fault=comments",
    "with a full socket": "delay_ms=0,text_bytes=60000000,chunks=1",
}


@pytest.mark.parametrize("when", LEAVING)
@pytest.mark.parametrize("how", ["close", "reset"])
def test_leaving_is_counted_within_50_ms(sim, when, how):
    client = sim.open(PRO, prompt(), LEAVING[when])
    wait_until(lambda: sim.stats("pro")["open"] == 1)
    if "byte" not in when and "silent" not in when:
        assert client.read(20)
    if how == "reset":
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                 b"\1\0\0\0\0\0\0\0")
    late = sim.lateness()
    left = time.time()
    client.close()
    wait_until(lambda: sim.stats("pro")["open"] == 0)
    stats = sim.stats("pro")
    assert (stats["aborted"], stats["completions"]) == (1, 0)
    assert -0.001 < stats["last_abort_unix_us"] / 1e6 - left < 0.05 + late()


def test_leaving_with_the_request_is_counted(sim):
    for _ in range(20):
        sim.open(FLASH, prompt(), "delay_ms=60000").close()
    wait_until(lambda: sim.stats("flash")["aborted"] == 20)


def test_half_a_request_is_no_request(sim):
    for text in (b"POST /v1/chat/com", b"POST /v1/chat/completions HTTP/1.1"
                 b"\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"):
        client = sim.client()
        client.socket.sendall(text)
        client.close()
    assert sim.ask(FLASH, prompt()).status == 200
    assert sim.stats("flash")["requests"] == 1


def test_a_client_that_reads_to_the_end_and_leaves_did_not_abort(sim):
    for _ in range(50):
        assert sim.ask(FLASH, prompt()).is_whole
    assert sim.stats("flash")["completions"] == 50
    assert sim.stats("flash")["aborted"] == 0


# ---- counters -------------------------------------------------------------

def test_connections_are_counted_once_for_each_role(sim):
    client = sim.client()
    for path in (FLASH, FLASH, PRO, FLASH):
        client.raw.clear()
        client.send("POST", path, prompt(), {"X-Sim": FAST})
        assert client.answer().is_whole
    stats = sim.stats()
    assert (stats["flash"]["requests"], stats["flash"]["connections"],
            stats["pro"]["connections"]) == (3, 1, 1)


def test_open_requests_are_seen_while_they_are_open(sim):
    clients = [sim.open(FLASH, prompt(), "delay_ms=60000")
               for _ in range(5)]
    wait_until(lambda: sim.stats("flash")["open"] == 5)
    for client in clients:
        client.close()
    wait_until(lambda: sim.stats("flash")["open"] == 0)
    assert sim.stats("flash")["open_peak"] == 5


def test_what_began_before_a_reset_is_not_counted_after_it(sim):
    client = sim.open(FLASH, prompt(), "delay_ms=60000")
    wait_until(lambda: sim.stats("flash")["open"] == 1)
    sim.reset()
    assert sim.stats("flash")["open"] == 1
    client.close()
    wait_until(lambda: sim.stats("flash")["open"] == 0)
    assert sim.stats("flash")["aborted"] == 0
    assert sim.stats("flash")["requests"] == 0


def test_the_last_hundred_requests_are_kept(sim):
    client = sim.client()
    for number in range(105):
        client.raw.clear()
        client.send("POST", FLASH, prompt(f"number {number}"),
                    {"X-Sim": FAST + ",text=x"})
        assert client.answer().is_whole
    kept = sim.get("/_sim/requests")
    assert kept["received"] == 105
    assert len(kept["requests"]) == 100
    texts = [json.loads(one["body"])["contents"][0]["parts"][0]["text"]
             for one in kept["requests"]]
    assert texts == [f"number {number}" for number in range(5, 105)]
    last = kept["requests"][-1]
    assert (last["role"], last["credential"]) == ("flash", "bearer")
    assert last["path"] == FLASH.partition("?")[0]


def test_a_kept_body_is_bounded_and_clean(sim):
    sim.ask(FLASH, prompt("ä" * 100000))
    client = sim.client()
    client.socket.sendall(b"POST " + FLASH.encode() + b" HTTP/1.1\r\nHost: x"
                          b"\r\nContent-Length: 3\r\n\r\n\xff\x00a")
    client.answer()
    long, odd = sim.get("/_sim/requests")["requests"]
    assert long["body_bytes"] > 100000
    assert len(long["body"].encode()) <= 65536 + 3
    assert odd["body"] == "\ufffd\ufffda"


def test_secrets_are_not_kept(sim):
    sim.ask("/token", REFRESH.replace("client_secret=s",
                                      "client_secret=hushhush"))
    sim.ask(FLASH, prompt(), headers={"Authorization": "Bearer hushhush"})
    assert b"hushhush" not in sim.ask("/_sim/requests", method="GET").body


def test_a_body_beyond_the_limit_is_refused(sim):
    client = sim.client()
    client.socket.sendall(b"POST " + CHAT.encode() + b" HTTP/1.1\r\nHost: x"
                          b"\r\nContent-Length: 34000000\r\n\r\n")
    piece = b"x" * 1000000
    for _ in range(34):
        client.socket.sendall(piece)
    assert client.answer().status == 413


# ---- answers --------------------------------------------------------------

QUESTIONS = ["Why is the sky blue?", "What is the capital of France?",
             "How do I bake bread?", "¿Qué es la vida?", "", "?" * 500,
             "数" * 300]


@pytest.mark.parametrize("question", QUESTIONS)
def test_answers_are_the_same_each_time_and_say_that_they_are_simulated(
        sim, question):
    flash, again = (sim.ask(FLASH, prompt(question)).text()
                    for _ in range(2))
    assert flash == again
    sentences = re.findall(r"[.)](?= |$)", flash)
    assert len(sentences) >= 3
    assert "simulated" in flash.rsplit("(", 1)[-1]
    pro = sim.ask(PRO, prompt(question)).text()
    assert len(pro.split("\n\n")) == 5
    assert "simulated" in pro.rsplit("\n\n", 1)[-1]


def test_an_answer_takes_the_question_up(sim):
    text = sim.ask(FLASH, prompt("How do I\n bake [[sim chunks=2]] bread?")
                   ).text()
    assert "“How do I bake bread”" in text
    with_context = 'Context, as JSON:\n{"a": "Paris"}\n\nQuestion:\nWho won?'
    assert "“Who won”" in sim.ask(PRO, prompt(with_context)).text()


def test_the_last_turn_of_a_conversation_is_answered(sim):
    body = {"contents": [
        {"role": "user", "parts": [{"text": "Why is the sky blue?"}]},
        {"role": "model", "parts": [{"text": "Because of scattering."}]},
        {"role": "user", "parts": [{"text": "What makes the seasons?"}]}]}
    text = sim.ask(FLASH, body).text()
    assert "axis" in text and "scatter" not in text


# ---- cost -----------------------------------------------------------------

async def ask_slowly(port, limit, request):
    async with limit:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await reader.readuntil(b"\r\n0\r\n\r\n")
    finally:
        writer.close()


async def ask_all(port, count, request):
    limit = asyncio.Semaphore(200)  # connecting at the same time
    return await asyncio.gather(*(ask_slowly(port, limit, request)
                                  for _ in range(count)))


def test_two_thousand_slow_requests_cost_no_thread_and_little_time():
    count = 2000
    body = json.dumps(prompt("[[sim delay_ms=4000 chunks=4 chunk_ms=20]]"))
    request = (f"POST {FLASH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t"
               f"\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()
    with running() as sim:
        before = sim.cpu_s()
        late = sim.lateness()
        begin = time.monotonic()
        answers = asyncio.run(ask_all(sim.port, count, request))
        took = time.monotonic() - begin - late()
        used = sim.cpu_s() - before
        stats = sim.stats("flash")
        assert sim.threads() == 1
    assert all(answer.count(b"data: ") == 4 for answer in answers)
    assert stats["completions"] == count
    assert stats["open_peak"] > count * 0.9
    assert took < 15
    print(f"{count} requests: {took:.2f} s, {used:.2f} s of CPU")
    assert used < (10 if IS_SANITIZED else 2.0)
