"""Ask the service something and note what comes back, and when.

    exchange = http(address, "POST", "/api/reasoning/query", {"query": "hi"})
    exchange.until("preliminary", 5)        an event, waited for
    exchange.finish(10)                     the rest
    exchange.names()                        ["preliminary", "final", "done"]

The same object stands for HTTP/1.1 over TCP, for curl's HTTP/2 and for FastCGI
straight to tandemd's sockets.  Each read is stamped when it arrives; nothing
waits longer than it is told to.  drain() reads many at once.
"""

import json
import math
import os
import select
import selectors
import socket
import struct
import subprocess
import time


class TooLate(AssertionError):
    """What was waited for did not happen in time."""


class Event:
    """One server-sent event: name, data (parsed), id, at (s after sending)."""

    def __init__(self, fields, at):
        self.name = fields.get("event", "message")
        self.text = fields.get("data", "")
        self.id = fields.get("id")
        self.at = at
        self.data = json.loads(self.text) if self.text else None

    def __repr__(self):
        return f"<{self.name} at {self.at:.3f}>"


class Exchange:
    """One request and its response.  Subclasses know how bytes travel."""

    gulp = 1 << 18  # bytes that one read takes, at the most

    def __init__(self):
        self.sent_at = time.monotonic()
        self.status = None
        self.headers = {}
        self.header_at = None
        self.body = bytearray()
        self.events = []
        self.comments = []  # (text, at)
        self.retry_ms = None  # when to come again, if the response says so
        self.ended_at = None
        self.whole = False  # ended as its protocol wants it
        self._pending = bytearray()

    # ---- for the caller ----

    def json(self):
        return json.loads(self.body)

    def names(self):
        return [event.name for event in self.events]

    def event(self, name):
        """The only event of that name."""
        found = [event for event in self.events if event.name == name]
        assert len(found) == 1, f"{len(found)} x {name} in {self.names()}"
        return found[0]

    def data(self, name):
        return self.event(name).data

    @property
    def run_id(self):
        return self.headers.get("x-request-id")

    def until(self, names, within):
        """Reads until an event of that name, or of one of them, has come."""
        names = (names,) if isinstance(names, str) else names

        def found():
            return next((event for event in self.events
                         if event.name in names), None)
        self._read_until(found, within, " or ".join(names))
        return found()

    def until_headers(self, within):
        self._read_until(lambda: self.status is not None, within, "headers")
        return self

    def until_beats(self, count, within):
        """Reads until so many more comment lines have come."""
        wanted = len(self.comments) + count
        self._read_until(lambda: len(self.comments) >= wanted, within,
                         f"{count} heartbeats")

    def finish(self, within):
        """Reads to the end of the response."""
        self._read_until(lambda: self.ended_at is not None, within, "its end")
        return self

    def _read_until(self, condition, within, what):
        deadline = time.monotonic() + within
        while not condition():
            left = deadline - time.monotonic()
            if self.ended_at is not None or left <= 0:
                raise TooLate(f"waited {within} s for {what}: {self!r}")
            waiting = select.poll()  # select() ends at descriptor 1,023
            waiting.register(self, select.POLLIN)
            if waiting.poll(math.ceil(left * 1000)):
                self.pump()

    def __repr__(self):
        state = ("open" if self.ended_at is None
                 else f"ended {self.ended_at:.3f}")
        tail = bytes(self.body[-200:]) if not self.events else b""
        return (f"<{type(self).__name__} {self.status} {self.events} "
                f"{state} {tail!r}>")

    # ---- for subclasses ----

    def fileno(self):
        raise NotImplementedError

    def close(self):
        """Leaves, as a client does that has lost interest."""
        raise NotImplementedError

    def _read(self):
        raise NotImplementedError

    def _decode(self, data):
        raise NotImplementedError

    def pump(self):
        """Takes what is there to read.  Call when readable."""
        data = self._read()
        now = time.monotonic() - self.sent_at
        if data is None:
            return
        if data:
            self._now = now
            self._decode(data)
        else:
            self._now = now
            self._end(self._ends_by_close())

    def _ends_by_close(self):
        return False

    def _end(self, whole):
        if self.ended_at is None:
            self.ended_at = self._now
            self.whole = whole
            self.close()

    def _take_headers(self, text):
        self.header_at = self._now
        self.headers = {}
        for line in text.split("\r\n"):
            name, _, value = line.partition(":")
            if name:
                self.headers[name.strip().lower()] = value.strip()

    def _take_body(self, data):
        self.body += data
        if not self.headers.get("content-type", "").startswith(
                "text/event-stream"):
            return
        self._pending += data
        while b"\n\n" in self._pending:
            block, _, rest = bytes(self._pending).partition(b"\n\n")
            self._pending = bytearray(rest)
            self._take_block(block.decode("utf-8"))

    def _take_block(self, block):
        fields = {}
        for line in block.split("\n"):
            assert "\r" not in line, f"CR in an event: {line!r}"
            if line.startswith(":"):
                self.comments.append((line, self._now))
                continue
            name, colon, value = line.partition(": ")
            assert colon and name in ("event", "data", "id", "retry"), \
                repr(line)
            assert name not in fields, f"two {name} lines: {block!r}"
            fields[name] = value
        if "retry" in fields:
            assert len(fields) == 1, repr(block)
            self.retry_ms = int(fields["retry"])
        elif fields:
            self.events.append(Event(fields, self._now))


def _as_body(body):
    if body is None or isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body)).encode()


class Http1(Exchange):
    def __init__(self, address, method, path, body=None, headers=None,
                 raw=None, source=None):
        super().__init__()
        self.socket = socket.create_connection(address, 10, source)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._raw = bytearray()
        self._chunk_left = 0
        self._head_only = method == "HEAD"
        self.sent_at = time.monotonic()
        try:
            self.socket.sendall(
                raw or _request(address, method, path, body, headers or {}))
        except (BrokenPipeError, ConnectionResetError):
            pass  # an early answer, such as 413: there is something to read
        self.socket.setblocking(False)

    def fileno(self):
        return self.socket.fileno()

    def close(self):
        self.socket.close()

    def reset(self):
        """Leaves with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               struct.pack("ii", 1, 0))
        self.socket.close()

    def _read(self):
        try:
            return self.socket.recv(self.gulp)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            return b""

    def _ends_by_close(self):
        return (self.status is not None and
                "content-length" not in self.headers and
                "transfer-encoding" not in self.headers)

    def _decode(self, data):
        self._raw += data
        if self.status is None and not self._decode_head():
            return
        if self._head_only:
            self._end(True)
        elif self.headers.get("transfer-encoding") == "chunked":
            self._decode_chunks()
        else:
            self._take_body(bytes(self._raw))
            self._raw.clear()
            length = self.headers.get("content-length")
            if length is not None and len(self.body) >= int(length):
                self._end(True)

    def _decode_head(self):
        head, end, rest = bytes(self._raw).partition(b"\r\n\r\n")
        if not end:
            return False
        status, _, lines = head.decode("latin-1").partition("\r\n")
        self._raw = bytearray(rest)
        if status.split(" ")[1] == "100":
            return self._decode_head()
        self._take_headers(lines)
        self.status = int(status.split(" ")[1])
        return True

    def _decode_chunks(self):
        """Sizes, data and the CR LF behind it may come in any pieces."""
        while self._raw:
            if self._chunk_left == 0:
                line, end, rest = bytes(self._raw[:64]).partition(b"\r\n")
                if not end:
                    return
                size = int(line.split(b";")[0], 16)
                if size == 0:
                    self._end(True)
                    return
                del self._raw[:len(line) + 2]
                self._chunk_left = size + 2
            piece = bytes(self._raw[:self._chunk_left])
            del self._raw[:self._chunk_left]
            keep = max(0, min(len(piece), self._chunk_left - 2))
            self._chunk_left -= len(piece)
            self._take_body(piece[:keep])


def _request(address, method, path, body, headers):
    body = _as_body(body)
    lines = [f"{method} {path} HTTP/1.1"]
    given = {name.lower() for name in headers}
    if "host" not in given:
        lines.append(f"Host: {address[0]}:{address[1]}")
    if body is not None and "content-length" not in given and \
            "transfer-encoding" not in given:
        lines.append(f"Content-Length: {len(body)}")
    if body is not None and "content-type" not in given:
        lines.append("Content-Type: application/json")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


class Http2(Exchange):
    """curl speaks it; headers and body come through one pipe."""

    def __init__(self, address, method, path, body=None, headers=None):
        super().__init__()
        command = ["curl", "--http2-prior-knowledge", "-sS", "-N", "-D", "-",
                   "-m", "60", "-X", method,
                   f"http://{address[0]}:{address[1]}{path}"]
        for name, value in (headers or {}).items():
            command += ["-H", f"{name}: {value}"]
        if body is not None:
            command += ["-H", "Content-Type: application/json",
                        "--data-binary", "@-"]
        self.sent_at = time.monotonic()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.process.stdin.write(_as_body(body) or b"")
        self.process.stdin.close()
        self._raw = bytearray()

    def fileno(self):
        return self.process.stdout.fileno()

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()
        self.process.stderr.close()

    def _read(self):
        return os.read(self.fileno(), self.gulp)

    def _ends_by_close(self):
        return self.process.wait(20) == 0

    def _decode(self, data):
        if self.status is not None:
            self._take_body(data)
            return
        self._raw += data
        head, end, rest = bytes(self._raw).partition(b"\r\n\r\n")
        if not end:
            return
        status, _, lines = head.decode("latin-1").partition("\r\n")
        self._take_headers(lines)
        self.status = int(status.split(" ")[1])
        assert status.startswith("HTTP/2"), status
        if rest:
            self._take_body(rest)


# FastCGI record types
_BEGIN, _ABORT, _END, _PARAMS, _STDIN, _STDOUT, _STDERR = 1, 2, 3, 4, 5, 6, 7


def fcgi_record(kind, content=b"", request_id=1):
    return struct.pack(">BBHHBx", 1, kind, request_id, len(content),
                       0) + content


def fcgi_params(params):
    def length(value):
        size = len(value)
        return bytes([size]) if size < 128 else struct.pack(
            ">I", size | 0x80000000)
    out = b""
    for name, value in params.items():
        name, value = name.encode(), value.encode("latin-1")
        out += length(name) + length(value) + name + value
    return out


class Fcgi(Exchange):
    """What a web server would say to tandemd, without a web server."""

    def __init__(self, path, method, uri, body=None, headers=None):
        super().__init__()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.sent_at = time.monotonic()
        self.socket.connect(path)
        self._raw = bytearray()
        self._out = bytearray()
        body = _as_body(body)
        where, _, query = uri.partition("?")
        params = {"REQUEST_METHOD": method, "REQUEST_URI": uri,
                  "SCRIPT_NAME": where, "PATH_INFO": "",
                  "QUERY_STRING": query, "SERVER_PROTOCOL": "HTTP/1.1",
                  "GATEWAY_INTERFACE": "CGI/1.1", "REMOTE_ADDR": "127.0.0.1",
                  "SERVER_NAME": "localhost", "SERVER_PORT": "80"}
        if body is not None:
            params["CONTENT_LENGTH"] = str(len(body))
            params["CONTENT_TYPE"] = "application/json"
        for name, value in (headers or {}).items():
            name = name.upper().replace("-", "_")
            known = name in ("CONTENT_TYPE", "CONTENT_LENGTH")
            params[name if known else "HTTP_" + name] = value
        message = fcgi_record(_BEGIN, struct.pack(">HBxxxxx", 1, 0))
        message += fcgi_record(_PARAMS, fcgi_params(params))
        message += fcgi_record(_PARAMS)
        for at in range(0, len(body or b""), 65528):
            message += fcgi_record(_STDIN, body[at:at + 65528])
        self.socket.sendall(message + fcgi_record(_STDIN))
        self.socket.setblocking(False)

    def fileno(self):
        return self.socket.fileno()

    def close(self):
        self.socket.close()

    def _read(self):
        try:
            return self.socket.recv(self.gulp)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            return b""

    def _decode(self, data):
        self._raw += data
        while len(self._raw) >= 8:
            _, kind, _, size, padding = struct.unpack_from(">BBHHB", self._raw)
            if len(self._raw) < 8 + size + padding:
                return
            content = bytes(self._raw[8:8 + size])
            del self._raw[:8 + size + padding]
            if kind == _STDOUT and content:
                self._decode_output(content)
            elif kind == _STDERR and content:
                raise AssertionError(f"FastCGI stderr: {content!r}")
            elif kind == _END:
                self._end(True)

    def _decode_output(self, data):
        if self.status is not None:
            self._take_body(data)
            return
        self._out += data
        head, end, rest = bytes(self._out).partition(b"\r\n\r\n")
        if not end:
            return
        self._take_headers(head.decode("latin-1"))
        self.status = int(self.headers.get("status", "200").split(" ")[0])
        if rest:
            self._take_body(rest)


def drain(exchanges, within, until=None):
    """Reads them all at once until each has ended (or until(exchange) holds).
    Those that did not make it are returned."""
    until = until or (lambda exchange: exchange.ended_at is not None)
    deadline = time.monotonic() + within
    with selectors.DefaultSelector() as selector:
        for exchange in exchanges:
            if not until(exchange) and exchange.ended_at is None:
                selector.register(exchange, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                break
            for key, _ in selector.select(left):
                exchange = key.fileobj
                fd = key.fd
                exchange.pump()
                if exchange.ended_at is not None or until(exchange):
                    selector.unregister(fd)
    return [exchange for exchange in exchanges if not until(exchange)]
