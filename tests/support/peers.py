"""Servers that keep a caller waiting.

    with Mute() as peer:            accepts, reads, never answers
    with Blackhole() as peer:       its handshake never ends
    with SilentNameserver() as peer:    takes questions about names

A peer has an address; Mute also knows how many of its connections the other
side has opened and closed.
"""

import contextlib
import os
import socket
import threading


class Peer:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def address(self):
        return self.socket.getsockname()

    def url(self, scheme="http"):
        host, port = self.address
        return f"{scheme}://{host}:{port}"

    def close(self):
        self.socket.close()


class Blackhole(Peer):
    """A listener whose queue is full: the kernel drops what comes."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(0)
        self.fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(self.address)
            self.fillers.append(filler)

    def close(self):
        for filler in self.fillers:
            filler.close()
        super().close()


class Mute(Peer):
    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.opened = self.closed = self.bytes = 0
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                self.opened += 1
                threading.Thread(target=self._read, args=(connection,),
                                 daemon=True).start()

    def _read(self, connection):
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(1 << 16):
                self.bytes += len(data)
        self.closed += 1

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        super().close()
        self.thread.join(5)


class SilentNameserver(Peer):
    """On port 53 of a loopback address of its own."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(0)
        third, fourth = divmod(os.getpid() % 62500, 250)
        self.socket.bind((f"127.53.{third}.{fourth + 1}", 53))

    def was_asked(self):
        with contextlib.suppress(BlockingIOError):
            return len(self.socket.recv(4096)) > 0
        return False
