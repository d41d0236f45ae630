"""A ledger with a long past: what the first page of a listing, a start and a
whole verification cost there.

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

import machine
from tandem import Stack
from world import LEDGERS, load

LONG_S = 600
PAST_US = 27 * 86400 * 10**6  # in this month and the last, which have tables
TEXT = "Why is the sky blue, and why is it red in the evening?"


class HistoryStack(Stack):
    """Its ledger is verified as a part of the measure."""

    def check_ledger(self):
        pass


def utc(unix_us):
    at = datetime.datetime.fromtimestamp(unix_us // 1000000,
                                         datetime.timezone.utc)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{unix_us % 1000000:06d}Z"


def uuid_v7(unix_us):
    """Rising with the time, as those of runs do."""
    number = int.from_bytes(os.urandom(10), "big") | unix_us // 1000 << 80
    number = number & ~(0xf << 76 | 3 << 62) | 7 << 76 | 2 << 62
    return str(uuid.UUID(int=number))


def verify(stack, *options):
    return subprocess.run(
        [stack.build / "tandemctl", "verify", *options], text=True,
        capture_output=True, timeout=LONG_S, check=False,
        env=stack.tandem_environment())


# ---- what is written ---------------------------------------------------------

class Template:
    """One entry of the ledger, to be written again with other marks."""

    MARKS = ("idx", "recorded_at", "run_id", "started_at")

    def __init__(self, row, **changed):
        body = {**json.loads(row["body"]), **changed}
        self.parts = [said["part"] for said in body["content"]]
        for name in self.MARKS:
            if body.get(name) is not None:
                body[name] = f"@{name}@"
        for said in body["content"]:
            said.update(sha256=f"@{said['part']}@", len=len(TEXT.encode()))
        text = json.dumps(body, sort_keys=True, ensure_ascii=False,
                          separators=(",", ":")).replace("%", "%%")
        for name in (*self.MARKS, *self.parts):
            text = text.replace(f"@{name}@", f"%({name})s")
        self.text = text.replace('"%(idx)s"', "%(idx)s")
        self.row = {**row, "log_id": body["log_id"]}

    def entry(self, idx, now_us, run_id, texts):
        """Adds to texts those that it commits to."""
        now = utc(now_us)
        marks = {"idx": idx, "recorded_at": now, "run_id": run_id,
                 "started_at": now}
        for part in self.parts:
            salt = os.urandom(32)
            marks[part] = hashlib.sha256(
                b"\3" + salt + TEXT.encode()).hexdigest()
            texts.append((run_id, part, now_us, salt))
        body = self.text % marks
        new = {**self.row, "idx": idx, "run_id": run_id, "body": body,
               "recorded_at": now_us, "leaf_hash": hashlib.sha256(
                   b"\0" + body.encode()).digest()}
        if self.row["started_at"] is not None:
            new["started_at"] = now_us
        return new


class Copies:
    """Entries of a new log after the last one of the ledger."""

    def __init__(self, ledger, head, count, tell):
        log_id = str(uuid.uuid4())
        self.tell = tell
        self.count = count
        self._texts = []
        self.opened = Template(ledger.row("log_opened"), log_id=log_id,
                               previous=head)
        self.accepted = Template(ledger.row("accepted"), log_id=log_id)
        self.finished = Template(ledger.row("finished"), log_id=log_id)

    def entries(self):
        began_us = time.time_ns() // 1000 - PAST_US
        step_us = PAST_US // (self.count + 1000)
        yield self.opened.entry(0, began_us, None, self._texts)
        for idx in range(1, self.count - 1, 2):
            now_us = began_us + idx * step_us
            run_id = uuid_v7(now_us)
            if idx % 100000 == 1:
                self.tell(f"writing {self.count} entries: {idx - 1}")
            yield self.accepted.entry(idx, now_us, run_id, self._texts)
            yield self.finished.entry(idx + 1, now_us + 200, run_id,
                                      self._texts)

    def texts(self):
        """Of the entries so far."""
        for run_id, part, at_us, salt in self._texts:
            yield {"run_id": run_id, "part": part, "recorded_at": at_us,
                   "salt": salt, "body": TEXT}


# ---- where it is written: without triggers, which find only what is not there

class SqliteTables:
    def __init__(self, stack):
        self.path = stack.ledger.path

    def row(self, kind):
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            db.row_factory = sqlite3.Row
            return dict(db.execute("SELECT * FROM entry WHERE kind = ? LIMIT 1",
                                   (kind,)).fetchone())

    def write(self, copies):
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            triggers = db.execute("SELECT name, sql FROM sqlite_schema "
                                  "WHERE type = 'trigger'").fetchall()
            db.execute("PRAGMA synchronous = OFF")
            db.execute("PRAGMA cache_size = -400000")
            for name, _ in triggers:
                db.execute(f"DROP TRIGGER {name}")
            db.executemany(
                "INSERT INTO entry VALUES "
                f"({','.join('?' * len(copies.opened.row))})",
                (list(entry.values()) for entry in copies.entries()))
            db.executemany("INSERT INTO content VALUES "
                           "(:run_id, :part, :salt, :body)", copies.texts())
            for _, sql in triggers:
                db.execute(sql)
            db.commit()
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def bytes(self):
        return self.path.stat().st_size


class PostgresTables:
    TIMES = ("recorded_at", "started_at")

    def __init__(self, stack):
        self.cluster = stack.database

    def row(self, kind):
        return self.cluster.rows("SELECT * FROM tandem.entry "
                                 f"WHERE kind = '{kind}' LIMIT 1")[0]

    def _psql(self, sql):
        """As a replica, whose claims come as rows."""
        return subprocess.Popen(
            ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, "-d",
             self.cluster.url("super")
             + "&options=-csession_replication_role%3Dreplica"],
            stdin=subprocess.PIPE, text=True)

    def _field(self, name, value):
        if value is None:
            return r"\N"
        if isinstance(value, bytes):
            return r"\\x" + value.hex()
        if name in self.TIMES:
            return utc(value)
        return str(value).replace("\\", r"\\")

    def _copy(self, table, rows):
        copy = None
        for row in rows:
            if copy is None:
                copy = self._psql(f"COPY {table} ({', '.join(row)}) FROM STDIN")
            copy.stdin.write("\t".join(
                self._field(*item) for item in row.items()) + "\n")
        copy.communicate()
        assert copy.returncode == 0, table

    def write(self, copies):
        self._copy("tandem.entry", copies.entries())
        self._copy("tandem.content", copies.texts())
        copies.tell("claims; statistics, as autovacuum leaves them")
        self._run(f"""INSERT INTO tandem.run_claim
            SELECT run_id,
                CASE kind WHEN 'finished' THEN 'ended' ELSE kind END,
                log_id, idx, recorded_at
            FROM tandem.entry WHERE log_id = '{copies.opened.row["log_id"]}'
                AND run_id IS NOT NULL""")
        self._run("VACUUM ANALYZE")

    def _run(self, sql):
        done = self._psql(sql)
        done.communicate()
        assert done.returncode == 0, sql

    def bytes(self):
        return int(self.cluster.psql(
            "SELECT pg_database_size(current_database())"))


TABLES = {"sqlite": SqliteTables, "postgresql": PostgresTables}


# ---- the measure -------------------------------------------------------------

def head_of(stack):
    """What the next log has to say of the one before."""
    for line in verify(stack, "--json").stdout.splitlines():
        told = json.loads(line)
        if told["type"] == "head":
            return {"log_id": told["log_id"], "size": told["size"],
                    "root": told["root"]}
    raise AssertionError("verify tells no head")


def write_past(stack, ledger, entries, tell):
    """Stops tandemd; returns the tables it was written to."""
    stack.ask(sim="flash.delay_ms=0 pro.delay_ms=0")
    stack.stop_tandemd()
    tables = TABLES[ledger](stack)
    tables.write(Copies(tables, head_of(stack), entries, tell))
    return tables


def verify_and_count(stack, kept):
    """How long it took, and what it cost."""
    database = kept.cpu_seconds()
    peak_kb = 0
    began = time.monotonic()
    with subprocess.Popen([stack.build / "tandemctl", "verify"],
                          env=stack.tandem_environment(), text=True,
                          stdout=subprocess.PIPE) as running:
        # wait4(2) would tell the peak of this program before it executed that.
        while not os.waitid(os.P_PID, running.pid,
                            os.WEXITED | os.WNOWAIT | os.WNOHANG):
            peak_kb = max(peak_kb, machine.peak_kb(running.pid))
            time.sleep(0.02)
        took = time.monotonic() - began
        used = machine.cpu_of(running.pid)
        said = running.stdout.read()
    assert running.returncode == 0, said
    return {"seconds": took, "tandemctl_cpu": used, "peak_kb": peak_kb,
            "database_cpu": kept.cpu_seconds() - database}


def measure(tell, ledger, entries):
    def tell_of(text):
        tell(f"{ledger}: {text}")

    with LEDGERS[ledger]() as kept, \
            HistoryStack(database=kept.database) as stack:
        tables = write_past(stack, ledger, entries, tell_of)
        tell_of("verify")
        verified = verify_and_count(stack, kept)
        tell_of(f"verified in {verified['seconds']:.1f} s; starting with it")
        began = time.monotonic()
        stack.start_tandemd()
        started = time.monotonic() - began
        tell_of("first page")
        pages = load(stack.address[1], "/api/experiments", callers=1, seconds=3)
        size = tables.bytes()
    return {"ledger": ledger, "entries": entries, "bytes": size,
            "verify_seconds": round(verified["seconds"], 2),
            "verify_entries_per_second": round(entries / verified["seconds"]),
            "verify_cpu_us": {who: round(verified[f"{who}_cpu"] / entries * 1e6,
                                         1)
                              for who in ("tandemctl", "database")},
            "verify_peak_kb": verified["peak_kb"],
            "start_seconds": round(started, 2),
            "first_page_us": pages["total_us"],
            "first_page_per_second": pages["per_second"]}
