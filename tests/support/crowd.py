"""A crowd of clients, most of whom misbehave, from one seed.

    crowd = Crowd(stack, random.Random(seed))
    crowd.run(seconds=30)          keeps AT_ONCE of them busy
    crowd.settle(20)               lets them all come to their end
    assert crowd.complaints == []

One thread, one selector.  Whoever stays must see the end that was promised;
whoever leaves, stalls, closes half of the connection or sends garbage must
only not hurt the others.
"""

import contextlib
import heapq
import itertools
import selectors
import socket
import time

AT_ONCE = 50
QUERY = "/api/reasoning/query"
FAULTS = ["status", "silent", "stall", "drip", "slow_headers", "cut", "reset",
          "nofinish", "error_tail", "error_event", "finish_then_error",
          "blocked", "safety", "empty", "html", "comments", "unknown_finish",
          "badjson", "finish_each"]


class Noise:
    """Bytes that are no request, and whatever comes back."""

    def __init__(self, family, address, data):
        self.socket = socket.socket(family)
        self.socket.settimeout(10)
        self.ended_at = None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.connect(address)
            self.socket.sendall(data)  # an early answer may end it
        self.socket.setblocking(False)

    def fileno(self):
        return self.socket.fileno()

    def close(self):
        self.socket.close()

    def pump(self):
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self.ended_at = time.monotonic()
            self.close()


class Client:
    """One of the crowd: what it talks through, and what it is up to."""

    def __init__(self, kind, exchange, then_s=None, then=None, check=None):
        self.kind = kind
        self.exchange = exchange
        self.then_s = then_s  # after so many seconds it does
        self.then = then      # "leave", "reset", "half_close" or "read"
        self.check = check    # what must be true of the exchange at its end

    def __repr__(self):
        return f"<{self.kind} {self.then}: {self.exchange}>"


def _saw_its_end(exchange):
    return (exchange.status == 200 and exchange.whole and
            exchange.names()[-1:] == ["done"] and
            exchange.names().count("done") == 1)


class Crowd:
    KINDS = {"stays": 10, "leaves": 4, "stalls": 2, "half_closes": 2,
             "errs": 1, "shouts": 1, "breaks_off": 1, "mumbles": 1}

    def __init__(self, stack, dice):
        self.stack = stack
        self.dice = dice
        self.complaints = []
        self.count = dict.fromkeys(self.KINDS, 0)
        self._living = set()
        self._timers = []
        self._order = itertools.count()
        self._selector = selectors.DefaultSelector()

    # ---- what they ask ----

    def _sim(self):
        dice = self.dice
        words = [f"flash.delay_ms={dice.randrange(300)}",
                 f"pro.delay_ms={dice.randrange(1200)}",
                 f"chunk_ms={dice.choice([0, 0, 5, 30])}",
                 f"chunks={dice.randrange(1, 12)}"]
        for role in ("flash", "pro"):
            if dice.random() < 0.3:
                words.append(f"{role}.fault={dice.choice(FAULTS)}")
        if dice.random() < 0.1:
            words.append("text_bytes=200000")
        return " ".join(words)

    def _ask(self):
        return self.stack.open(
            "why?", sim=self._sim(),
            events=self.dice.choice(["classic", "staged", "both"]))

    def _bytes(self, least, most):
        return self.dice.randbytes(self.dice.randrange(least, most))

    # ---- what they do ----

    def _stays(self):
        return Client("stays", self._ask(), check=_saw_its_end)

    def _leaves(self):
        return Client("leaves", self._ask(), self.dice.random() * 1.5,
                      self.dice.choice(["leave", "leave", "reset"]))

    def _stalls(self):
        """Reads nothing for a while; behind a web server that is allowed."""
        return Client("stalls", self._ask(), 1 + 3 * self.dice.random(),
                      "read", _saw_its_end)

    def _half_closes(self):
        return Client("half_closes", self._ask(), self.dice.random(),
                      "half_close")

    def _errs(self):
        body = self.dice.choice([b"{", b"[]", b"\xff\xfe", b'{"query":1}',
                                 b'{"query":""}', b'{"context":{}}'])
        return Client("errs", self.stack.http("POST", QUERY, body),
                      check=lambda one: one.status in (400, 422))

    def _shouts(self):
        return Client("shouts", Noise(socket.AF_INET, self.stack.address,
                                      self._bytes(1, 5000)),
                      self.dice.random(), "leave")

    def _breaks_off(self):
        head = (b"POST /api/reasoning/query HTTP/1.1\r\nHost: x\r\n"
                b"Content-Length: 500\r\n\r\n{")
        return Client("breaks_off", Noise(
            socket.AF_INET, self.stack.address,
            head[:self.dice.randrange(1, len(head))]),
            self.dice.random(), "leave")

    def _mumbles(self):
        """To the service itself; never what begins like FastCGI."""
        return Client("mumbles", Noise(
            socket.AF_UNIX, str(self.stack.folder / "stream.sock"),
            b"\0" + self._bytes(0, 3000)), self.dice.random(), "leave")

    # ---- their lives ----

    def _begin(self):
        kind, = self.dice.choices(list(self.KINDS), self.KINDS.values())
        client = getattr(self, f"_{kind}")()
        self.count[kind] += 1
        self._living.add(client)
        if client.then != "read":
            self._selector.register(client.exchange, selectors.EVENT_READ,
                                    client)
        if client.then is not None:
            heapq.heappush(self._timers, (time.monotonic() + client.then_s,
                                          next(self._order), client))

    def _forget(self, client):
        self._living.discard(client)

    def _act(self, client):
        if client not in self._living:
            return
        exchange = client.exchange
        if client.then == "read":
            self._selector.register(exchange, selectors.EVENT_READ, client)
        elif client.then == "half_close":
            exchange.socket.shutdown(socket.SHUT_WR)
        else:
            self._selector.unregister(exchange)
            (exchange.reset if client.then == "reset" else exchange.close)()
            self._forget(client)

    def _pump(self, key):
        client = key.data
        client.exchange.pump()
        if client.exchange.ended_at is None:
            return
        self._selector.unregister(key.fd)
        self._forget(client)
        if client.check and not client.check(client.exchange):
            self.complaints.append(repr(client))

    def _step(self):
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            self._act(heapq.heappop(self._timers)[2])
        wait = min(0.05, self._timers[0][0] - now) if self._timers else 0.05
        for key, _ in self._selector.select(max(0, wait)):
            self._pump(key)

    def run(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            while len(self._living) < AT_ONCE:
                self._begin()
            self._step()

    def settle(self, within):
        until = time.monotonic() + within
        while self._living and time.monotonic() < until:
            self._step()
        self.complaints += [f"never ended: {client!r}"
                            for client in self._living]
