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


class Copies:
    """Entries of a new log after the last one of the ledger."""

    def __init__(self, db, head):
        self.db = db
        self.log_id = str(uuid.uuid4())
        self.head = head  # of the log before
        self.idx = 0
        self.now_us = time.time_ns() // 1000 - 10**10
        self.names = [name for _, name, *_ in
                      db.execute("PRAGMA table_info(entry)")]
        self.opened = self._template("log_opened")
        self.accepted = self._template("accepted")
        self.finished = self._template("finished")

    def _template(self, kind):
        values = self.db.execute(
            "SELECT * FROM entry WHERE kind = ? LIMIT 1", (kind,)).fetchone()
        return dict(zip(self.names, values))

    def entry(self, template, run_id, content, **more):
        """A row as the template's, but for what makes it another."""
        body = json.loads(template["body"])
        body.update(log_id=self.log_id, idx=self.idx, run_id=run_id,
                    recorded_at=utc(self.now_us), content=content, **more)
        new = {**template, "log_id": self.log_id, "idx": self.idx,
               "run_id": run_id, "recorded_at": self.now_us}
        if "started_at" in body:
            body["started_at"] = utc(self.now_us)
            new["started_at"] = self.now_us
        new["body"] = json.dumps(body, sort_keys=True, ensure_ascii=False,
                                 separators=(",", ":"))
        new["leaf_hash"] = hashlib.sha256(
            b"\0" + new["body"].encode()).digest()
        self.idx += 1
        self.now_us += 500
        return [new[name] for name in self.names]

    def rows(self, count):
        yield self.entry(self.opened, None, [], previous=self.head)
        for _ in range((count - 1) // 2):
            run_id = str(uuid.uuid4())
            salt = os.urandom(32)
            text = TEXT.encode()
            self.texts.append((run_id, "query", salt, TEXT))
            yield self.entry(self.accepted, run_id, [{
                "cleaned": False, "len": len(text), "part": "query",
                "sha256": hashlib.sha256(b"\3" + salt + text).hexdigest()}])
            yield self.entry(self.finished, run_id, [])

    def write(self, count):
        """Triggers would only find what is not there."""
        triggers = self.db.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
        ).fetchall()
        self.texts = []
        self.db.execute("PRAGMA synchronous = OFF")
        for name, _ in triggers:
            self.db.execute(f"DROP TRIGGER {name}")
        self.db.executemany(
            f"INSERT INTO entry VALUES ({','.join('?' * len(self.names))})",
            self.rows(count))
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
