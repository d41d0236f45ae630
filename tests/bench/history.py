"""A ledger with a long past: what the first page of a listing and a whole
verification cost there.

The past is made from one real run, written again and again under other ids and
times, as a scribe that was killed would have left it.
"""

import contextlib
import datetime
import hashlib
import json
import os
import sqlite3
import subprocess
import time
import uuid

from tandem import Stack
from world import load

LONG_S = 600
TEXT = "Why is the sky blue, and why is it red in the evening?"


class HistoryStack(Stack):
    """Its ledger is verified as a part of the measure."""

    def check_ledger(self):
        pass


def utc(unix_us):
    at = datetime.datetime.fromtimestamp(unix_us // 1000000,
                                         datetime.timezone.utc)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{unix_us % 1000000:06d}Z"


def verify(stack, *options):
    return subprocess.run(
        [stack.build / "tandemctl", "verify", *options], text=True,
        capture_output=True, timeout=LONG_S, check=False,
        env=stack.tandem_environment())


class Template:
    """One entry of the ledger, to be written again with other marks."""

    MARKS = ("idx", "recorded_at", "run_id", "sha256", "started_at")

    def __init__(self, db, kind, **changed):
        self.names = [name for _, name, *_ in
                      db.execute("PRAGMA table_info(entry)")]
        self.row = dict(zip(self.names, db.execute(
            "SELECT * FROM entry WHERE kind = ? LIMIT 1", (kind,)).fetchone()))
        body = {**json.loads(self.row["body"]), **changed}
        for name in self.MARKS:
            if body.get(name) is not None:
                body[name] = f"@{name}@"
        text = json.dumps(body, sort_keys=True, ensure_ascii=False,
                          separators=(",", ":")).replace("%", "%%")
        for name in self.MARKS:
            text = text.replace(f"@{name}@", f"%({name})s")
        self.text = text.replace('"%(idx)s"', "%(idx)s")
        self.row["log_id"] = body["log_id"]

    def entry(self, idx, now_us, run_id, sha256=""):
        now = utc(now_us)
        body = self.text % {"idx": idx, "recorded_at": now, "run_id": run_id,
                            "sha256": sha256, "started_at": now}
        new = {**self.row, "idx": idx, "run_id": run_id, "body": body,
               "recorded_at": now_us, "leaf_hash": hashlib.sha256(
                   b"\0" + body.encode()).digest()}
        if self.row["started_at"] is not None:
            new["started_at"] = now_us
        return [new[name] for name in self.names]


class Copies:
    """Entries of a new log after the last one of the ledger."""

    def __init__(self, db, head):
        log_id = str(uuid.uuid4())
        content = [{"cleaned": False, "len": len(TEXT.encode()),
                    "part": "query", "sha256": "@sha256@"}]
        self.db = db
        self.texts = []
        self.opened = Template(db, "log_opened", log_id=log_id, previous=head)
        self.accepted = Template(db, "accepted", log_id=log_id,
                                 content=content)
        self.finished = Template(db, "finished", log_id=log_id, content=[])

    def rows(self, count):
        now_us = time.time_ns() // 1000 - 10**10
        yield self.opened.entry(0, now_us, None)
        for idx in range(1, count - 1, 2):
            run_id = str(uuid.uuid4())
            salt = os.urandom(32)
            self.texts.append((run_id, "query", salt, TEXT))
            yield self.accepted.entry(
                idx, now_us + idx * 500, run_id,
                hashlib.sha256(b"\3" + salt + TEXT.encode()).hexdigest())
            yield self.finished.entry(idx + 1, now_us + idx * 500 + 200,
                                      run_id)

    def write(self, count):
        """Without triggers, which would only find what is not there."""
        triggers = self.db.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
        ).fetchall()
        self.db.execute("PRAGMA synchronous = OFF")
        self.db.execute("PRAGMA cache_size = -400000")
        for name, _ in triggers:
            self.db.execute(f"DROP TRIGGER {name}")
        self.db.executemany(
            "INSERT INTO entry VALUES "
            f"({','.join('?' * len(self.opened.names))})", self.rows(count))
        self.db.executemany("INSERT INTO content VALUES (?, ?, ?, ?)",
                            self.texts)
        for _, sql in triggers:
            self.db.execute(sql)
        self.db.commit()
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def head_of(stack):
    """What the next log has to say of the one before."""
    for line in verify(stack, "--json").stdout.splitlines():
        told = json.loads(line)
        if told["type"] == "head":
            return {"log_id": told["log_id"], "size": told["size"],
                    "root": told["root"]}
    raise AssertionError("verify tells no head")


def measure(tell, entries):
    stack = HistoryStack()
    with stack:
        stack.ask(sim="flash.delay_ms=0 pro.delay_ms=0")
        stack.stop_tandemd()
        tell(f"writing {entries} entries")
        with contextlib.closing(sqlite3.connect(stack.ledger.path)) as db:
            Copies(db, head_of(stack)).write(entries)
        tell("verify")
        began = time.monotonic()
        verified = verify(stack)
        took = time.monotonic() - began
        assert verified.returncode == 0, verified
        tell("starting with it")
        began = time.monotonic()
        stack.start_tandemd()
        started = time.monotonic() - began
        tell("first page")
        pages = load(stack.address[1], "/api/experiments", callers=1, seconds=3)
        size = stack.ledger.path.stat().st_size
    return {"entries": entries, "bytes": size,
            "verify_seconds": round(took, 2),
            "verify_entries_per_second": round(entries / took),
            "start_seconds": round(started, 2),
            "first_page_us": pages["total_us"],
            "first_page_per_second": pages["per_second"]}
