#!/usr/bin/python3
"""The outage drill: many runs while the database goes away and comes back.

    tests/drill/outage.py                       all variants, short
    tests/drill/outage.py stopped --runs 10000 --away 30
    tests/drill/outage.py --list

Each variant starts the whole service on a PostgreSQL of its own, sends runs
from many callers at once, takes the database away when a third of them is
through, gives it back, and then asks the database what it has:

- every caller that stayed got exactly one `done`;
- the entry of every receipt is there exactly once, with the hash that the
  caller was told;
- every accepted run has one end, no number is missing, the spool is empty,
  and tandemctl verify finds nothing.

Prints what it saw, with the time from the last answer to `done` before,
during and after the outage.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] /
                       "support"))

from database import Cluster  # noqa: E402
from tandem import QUERY, Stack, processes, session_of, wait_until  # noqa: E402

SIM = "flash.delay_ms=20 pro.delay_ms=50 chunk_ms=0"
DRAIN_S = 50


# ---- callers ---------------------------------------------------------------

class Run:
    """What one caller saw."""

    def __init__(self):
        self.status = 0
        self.done = None
        self.done_count = 0
        self.began = time.monotonic()
        self.answered_at = None
        self.done_at = None
        self.is_cut = False

    def take(self, name, data):
        if name in ("preliminary", "final"):
            self.answered_at = time.monotonic()
        elif name == "done":
            self.done = json.loads(data)
            self.done_at = time.monotonic()
            self.done_count += 1

    @property
    def audit(self):
        return self.done["audit"] if self.done else {"state": "none"}

    @property
    def record_ms(self):
        """From the last answer to `done`; None when there was no answer."""
        if self.done_at is None or self.answered_at is None:
            return None
        return (self.done_at - self.answered_at) * 1000


async def call(address):
    run = Run()
    body = json.dumps({"query": f"why is the sky blue? [[sim {SIM}]]"})
    writer = None
    try:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(f"POST {QUERY} HTTP/1.1\r\nHost: drill\r\n"
                     "Content-Type: application/json\r\n"
                     f"Content-Length: {len(body)}\r\n"
                     f"Connection: close\r\n\r\n{body}".encode())
        run.status = int((await reader.readline()).split()[1])
        name = None
        async for line in reader:
            text = line.decode().rstrip("\r\n")
            if text.startswith("event:"):
                name = text[6:].strip()
            elif text.startswith("data:"):
                run.take(name, text[5:])
    except (OSError, IndexError):
        run.is_cut = True
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    return run


class Load:
    """`count` runs from `at_once` callers, in the background, and more as long
    as is_wanted(); no more than `rate` begin in a second, 0: as many as can.
    """

    def __init__(self, address, count, at_once, rate=0):
        self.address = address
        self.left = count
        self.at_once = at_once
        self.pause = 1 / rate if rate else 0
        self.next_at = 0
        self.runs = []
        self.is_wanted = lambda: False

    async def _turn(self):
        """Waits for this caller's turn to begin."""
        now = time.monotonic()
        at = max(now, self.next_at)
        self.next_at = at + self.pause
        await asyncio.sleep(at - now)

    async def _caller(self):
        while self.left > 0 or self.is_wanted():
            self.left -= 1
            await self._turn()
            run = await call(self.address)
            self.runs.append(run)
            if run.status == 503:
                await asyncio.sleep(0.2)  # Retry-After, for the impatient

    async def finish(self):
        await asyncio.gather(*(self._caller() for _ in range(self.at_once)))

    async def until(self, count):
        while len(self.runs) < count and self.left > 0:
            await asyncio.sleep(0.01)


# ---- ways to lose a database -------------------------------------------------

def postgres_processes(cluster):
    master = cluster.postmaster()
    return [master] + [pid for pid, (_, _, parent, _) in processes().items()
                       if parent == master]


class Away:
    """A way in which the database goes, and comes back."""

    env = {}
    cuts_callers = False  # tandemd itself is killed
    refuses = False       # some callers are turned away at the door
    is_noticed = True     # the service has to spool

    def __init__(self, stack, cluster):
        self.stack = stack
        self.cluster = cluster

    def prepare(self):
        """Before the first run."""

    def begin(self):
        raise NotImplementedError

    def middle(self):
        """Half of the time is over."""

    def wait_until_noticed(self):
        wait_until(lambda: self.stack.metric("audit_spooled_total") > 0, 60,
                   "something to be spooled")

    def end(self):
        raise NotImplementedError


class Stopped(Away):
    """PostgreSQL is stopped in order and started again."""

    def begin(self):
        self.cluster.down("fast")

    def end(self):
        self.cluster.up()


class Killed(Away):
    """kill -9 of every process of PostgreSQL."""

    def begin(self):
        for pid in postgres_processes(self.cluster):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def end(self):
        self.cluster.up()


class ScribeKilled(Stopped):
    """The database is stopped, and meanwhile kill -9 of the scribe."""

    def middle(self):
        for pid in self.stack.workers("scribe"):
            os.kill(pid, signal.SIGKILL)


class AllKilled(Killed):
    """kill -9 of PostgreSQL and of all of Tandem at once; Tandem is started
    while the database is still away."""

    cuts_callers = True
    is_noticed = False  # there may be no run left

    def begin(self):
        ours = session_of(self.stack.tandemd.pid)
        super().begin()
        for pid in ours:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.stack.tandemd.wait(20)

    def middle(self):
        self.stack.start_tandemd()


class Blackhole(Away):
    """PostgreSQL neither answers nor hangs up: it is stopped in its tracks."""

    is_noticed = False  # five attempts may outlast it

    def begin(self):
        self.held = postgres_processes(self.cluster)
        for pid in self.held:
            os.kill(pid, signal.SIGSTOP)

    def end(self):
        for pid in self.held:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


class SpoolFull(Stopped):
    """The database is stopped and the spool has room for some runs only."""

    env = {"SPOOL_MAX_BYTES": "1048576", "SPOOL_RESERVE_BYTES": "524288"}
    refuses = True

    def wait_until_noticed(self):
        wait_until(lambda: self.stack.metric("requests_total",
                                             outcome="rejected") > 0, 60,
                   "somebody to be refused")


class ReadOnly(Away):
    """What connects finds a server that only reads, as after a failover."""

    def begin(self):
        self.cluster.psql("ALTER SYSTEM SET default_transaction_read_only = on;"
                          "SELECT pg_reload_conf();")

    def end(self):
        self.cluster.psql(
            "BEGIN READ WRITE; COMMIT;"
            "SET default_transaction_read_only = off;"
            "ALTER SYSTEM RESET default_transaction_read_only;"
            "SELECT pg_reload_conf();")


class Crowded(Away):
    """Others use up all connections, and ours is cut."""

    def prepare(self):
        self.others = []
        while self._join():
            pass  # until somebody is turned away

    def begin(self):
        for _ in range(60):
            while self._join():
                pass  # until somebody is turned away
            if not self._has_place():
                return
            self.cluster.psql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE usename = 'scribe';")
        raise AssertionError("the scribe's place could not be taken")

    def _has_place(self):
        return self.cluster.rows("SELECT pid FROM pg_stat_activity "
                                 "WHERE usename = 'scribe'")

    def _join(self):
        other = subprocess.Popen(
            ["psql", "-X", "-q", "-At", "-d", self.cluster.url("reader")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        with contextlib.suppress(BrokenPipeError):
            other.stdin.write("SELECT 1;\n")
            other.stdin.flush()
        if other.stdout.readline():
            self.others.append(other)
            return True
        self._leave(other)
        return False

    @staticmethod
    def _leave(other):
        with contextlib.suppress(BrokenPipeError):
            other.stdin.close()
        other.wait(20)
        other.stdout.close()

    def end(self):
        for other in self.others:
            self._leave(other)


class Locked(Away):
    """Somebody holds a lock on the table of entries."""

    is_noticed = False

    def begin(self):
        self.lock = self.stack.ledger.locked()
        self.lock.__enter__()

    def end(self):
        self.lock.__exit__(None, None, None)


VARIANTS = {"stopped": Stopped, "killed": Killed,
            "scribe-killed": ScribeKilled, "all-killed": AllKilled,
            "blackhole": Blackhole, "spool-full": SpoolFull,
            "read-only": ReadOnly, "crowded": Crowded, "locked": Locked}


# ---- what must be true afterwards --------------------------------------------

def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]


class Verdict:
    def __init__(self, name):
        self.name = name
        self.faults = []
        self.figures = {}

    def want(self, condition, fault):
        if not condition:
            self.faults.append(fault)

    def __str__(self):
        shown = "  ".join(f"{name}={value}"
                          for name, value in self.figures.items())
        if not self.faults:
            return f"{self.name:14} ok     {shown}"
        return f"{self.name:14} FAILED {shown}\n  " + "\n  ".join(self.faults)


def judge_callers(verdict, away, runs):
    states = collections.Counter(run.audit["state"] for run in runs)
    refused = sum(run.status == 503 for run in runs)
    cut = [run for run in runs if run.status != 503 and run.done_count != 1]
    verdict.figures.update(
        runs=len(runs), done=sum(run.done_count == 1 for run in runs),
        committed=states["committed"], spooled=states["spooled"],
        refused=refused, cut=len(cut))
    verdict.want(away.cuts_callers or not cut,
                 f"{len(cut)} callers got no done, or two")
    verdict.want(away.refuses or away.cuts_callers or refused == 0,
                 f"{refused} callers were refused")
    verdict.want(not away.refuses or refused > 0, "nobody was refused")
    verdict.want(states["failed"] == 0,
                 f"{states['failed']} records failed")
    verdict.want(not away.is_noticed or states["spooled"] > 0,
                 "nothing was spooled")


def judge_receipts(verdict, stack, runs):
    """Each receipt stands in the database exactly once, as it was told."""
    told = {(run.audit["log"], run.audit["index"]): run for run in runs
            if run.audit["state"] in ("committed", "spooled")}
    found = collections.Counter()
    for row in stack.ledger.rows(
            "SELECT log_id, idx, kind, run_id, "
            "encode(leaf_hash, 'hex') AS leaf FROM entry"):
        run = told.get((row["log_id"], row["idx"]))
        if run and row["leaf"] == run.audit["leaf_hash"] and \
                row["run_id"] == run.done["run_id"] and \
                row["kind"] == "finished":
            found[row["log_id"], row["idx"]] += 1
    wrong = [place for place in told if found[place] != 1]
    verdict.figures["receipts"] = len(told)
    verdict.want(not wrong, f"{len(wrong)} receipts are not there exactly "
                            f"once, the first {wrong[:1]}")


def judge_ledger(verdict, stack):
    unpaired = stack.ledger.unpaired()
    gaps = stack.ledger.gaps()
    checked = stack.tandemctl("verify")
    verdict.want(unpaired == [], f"runs without one end: {unpaired[:3]}")
    verdict.want(gaps == [], f"gaps: {gaps[:3]}")
    verdict.want(checked.returncode == 0,
                 f"verify: {checked.stdout}{checked.stderr}")
    aside = list((stack.folder / "state/spool/bad").iterdir())
    verdict.want(aside == [], f"{len(aside)} batches were set aside")


def time_records(verdict, runs, began, ended):
    """p95 of the time from the last answer to done, in milliseconds."""
    phases = {"before": [], "spooling": [], "after": []}
    for run in runs:
        if run.record_ms is None:
            continue
        if run.done_at < began:
            phases["before"].append(run.record_ms)
        elif run.audit["state"] == "spooled" and run.done_at < ended:
            phases["spooling"].append(run.record_ms)
        elif run.began > ended:
            phases["after"].append(run.record_ms)
    for name, values in phases.items():
        if values:
            verdict.figures[f"p95_{name}_ms"] = \
                round(percentile(values, 0.95), 1)


# ---- the drill -----------------------------------------------------------------

def drain(stack):
    result = stack.tandemctl("spool", "drain", "--timeout", str(DRAIN_S))
    assert result.returncode == 0, result
    assert "The spool is empty." in result.stdout


def has_ended(stack):
    return stack.ledger.unpaired() == []


async def lose_database(away, load, runs_before, away_s):
    """Returns when it began and ended.  It lasts until the service has
    noticed, where it has to: a slow machine's five attempts take longer."""
    await load.until(runs_before)
    began = time.monotonic()
    await asyncio.to_thread(away.begin)
    try:
        await asyncio.sleep(away_s / 2)
        await asyncio.to_thread(away.middle)
        await asyncio.sleep(away_s / 2)
        if away.is_noticed:
            await asyncio.to_thread(away.wait_until_noticed)
    finally:
        await asyncio.to_thread(away.end)
    return began, time.monotonic()


async def send(stack, away, options):
    """The callers do not go before the database is back."""
    load = Load(stack.address, options.runs, options.at_once, options.rate)
    outage = asyncio.create_task(
        lose_database(away, load, options.runs // 3, options.away))
    load.is_wanted = lambda: not outage.done()
    await load.finish()
    began, ended = await outage
    return load.runs, began, ended


def drill(name, options, cluster):
    """One variant on a cluster that has the schema."""
    kind = VARIANTS[name]
    verdict = Verdict(name)
    env = {"STREAM_WORKERS_MAX": str(options.at_once + 16),
           "STREAM_WORKERS_MIN": str(min(options.at_once, 32)), **kind.env}
    with Stack(database=cluster, env=env) as stack:
        stack.expect_errors |= {
            "ledger_write_failed", "ledger_store_away", "ledger_check_failed",
            "ledger_spool_failed", "ledger_orphan_failed",
            "ledger_catch_up_failed", "audit_unavailable",
            "ledger_unavailable", "audit_lost", "child_gone"}
        away = kind(stack, cluster)
        away.prepare()
        runs, began, ended = asyncio.run(send(stack, away, options))
        drain(stack)
        verdict.figures["drained_s"] = round(time.monotonic() - ended, 1)
        wait_until(lambda: has_ended(stack), 60, "every run to have its end")
        judge_callers(verdict, away, runs)
        judge_receipts(verdict, stack, runs)
        judge_ledger(verdict, stack)
        time_records(verdict, runs, began, ended)
    return verdict


def main():
    parser = argparse.ArgumentParser(
        description="Lose the database in the middle of many runs.")
    parser.add_argument("variants", nargs="*", metavar="VARIANT")
    parser.add_argument("--runs", type=int, default=600,
                        help="at least; more when the outage outlasts them")
    parser.add_argument("--at-once", type=int, default=100)
    parser.add_argument("--away", type=float, default=6,
                        help="seconds without the database")
    parser.add_argument("--rate", type=float, default=0,
                        help="runs a second; 0: as many as can")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        for name, kind in VARIANTS.items():
            print(f"{name:14} {' '.join(kind.__doc__.split())}")
        return 0
    for name in options.variants:
        if name not in VARIANTS:
            parser.error(f"there is no variant {name}; --list names them")
    failed = 0
    for name in options.variants or VARIANTS:
        with Cluster() as cluster:
            cluster.deploy()
            verdict = drill(name, options, cluster)
        failed += bool(verdict.faults)
        print(verdict, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
