"""What is measured, started and stopped: Tandem behind lighttpd, and beside it
the floor, programs that do no more than they must on the same machine.

    with World(env=...) as world:
        world.load(port, path, callers=8, seconds=2)
"""

import contextlib
import json
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import machine
from database import Cluster
from tandem import (BUILD, QUERY, ROOT, Process, Stack, free_port, program,
                    session_of, wait_until)

PROGRAMS = ROOT / "build/bench"
WORKERS_START_S = 60
# Each process of the floor holds one, and those of one that was stopped may
# still be there while the next one starts.
CONNECTIONS = 2000

STAMP = "sent_mono_us={{sent_mono_us}}"
ANSWER = ("Sunlight is scattered by the air, and blue light more than red. "
          * 9) + STAMP  # 600 bytes, as a short answer has
ASKED = "Why is the sky blue? " * 20
BODY = json.dumps({"query": ASKED, "context": {"audience": "a curious child"}})

FLOOR_WORKERS = 8
FLOORS = ("hello", "calls", "shape")


# ---- ledgers -----------------------------------------------------------------

class Sqlite:
    """The embedded ledger."""

    database = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def place(self, folder):
        """Of the floor's rows; see store.h."""
        return str(folder / "floor.db")

    def cpu_seconds(self):
        return 0.0  # it is part of the scribe

    def connections(self, stack):
        """Processes that have the ledger open."""
        return sum(has_open(pid, stack.folder / "state" / "ledger.db")
                   for pid in session_of(stack.tandemd.pid))


def has_open(pid, path):
    with contextlib.suppress(OSError):
        return any(fd.resolve() == path
                   for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir())
    return False


class Postgres:
    """A cluster of its own, with the schema that DBAs deploy."""

    def __init__(self):
        self.database = Cluster(CONNECTIONS)

    def __enter__(self):
        self.database.__enter__()
        self.database.deploy()
        return self

    def __exit__(self, *exception):
        self.database.__exit__(*exception)

    def place(self, _folder):
        return (f"postgresql:///postgres?host={self.database.folder}"
                "&user=super")

    def cpu_seconds(self):
        return machine.cpu_of_family(self.database.postmaster())

    def connections(self, _stack):
        return int(self.database.psql(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE usename IN ('scribe', 'auditor')"))


LEDGERS = {"sqlite": Sqlite, "postgresql": Postgres}


# ---- the floor ---------------------------------------------------------------

class Floor:
    """lighttpd with a small file, and with FastCGI servers of our own."""

    def __init__(self, folder, sim_port, place, kinds, workers):
        self.folder = folder
        self.kinds = kinds
        self.workers = workers
        self.port = free_port()
        self.processes = {}
        self.arguments = {"hello": [], "calls": [sim_port],
                          "shape": [sim_port, place]}

    def start(self):
        """May fail halfway; stop() ends what is there."""
        (self.folder / "hello.txt").write_text(
            "A small file to set the floor.\n")
        for kind in self.kinds:
            self._start(kind, [PROGRAMS / "floor", kind,
                               self.folder / f"{kind}.sock", self.workers,
                               *self.arguments[kind]])
        for process in self.processes.values():
            process.ready(lambda process=process: "ready" in process.text())
        self._start("lighttpd", [program("lighttpd"), "-D", "-f",
                                 self._config()])
        self.processes["lighttpd"].ready(self._answers)

    def _start(self, name, command):
        self.processes[name] = Process(name, command,
                                       self.folder / f"{name}.log")

    def _config(self):
        """As the shipped snippet has it, so that only the worker differs."""
        path = self.folder / "lighttpd.conf"
        servers = ",\n".join(
            f'"/{kind}" => (( "socket" => "{self.folder}/{kind}.sock", '
            '"check-local" => "disable", "tcp-fin-propagate" => "enable" ))'
            for kind in self.kinds)
        path.write_text(
            'server.modules = ( "mod_fastcgi" )\n'
            f'server.bind = "127.0.0.1"\nserver.port = {self.port}\n'
            f'server.document-root = "{self.folder}"\n'
            f'server.upload-dirs = ( "{self.folder}" )\n'
            "server.max-connections = 4000\nserver.max-fds = 16384\n"
            "server.listen-backlog = 4096\n"
            "server.stream-response-body = 1\n"
            f"fastcgi.server = ( {servers} )\n")
        return path

    def _answers(self):
        command = load_command(self.port, "/hello.txt", seconds=1)
        return subprocess.run(command, check=False,
                              capture_output=True).returncode == 0

    def cpu_seconds(self, kind):
        roles = {"web server": "lighttpd"}
        if kind in self.kinds:
            roles["workers"] = kind
        return {role: machine.cpu_of_session(self.processes[name].pid)
                for role, name in roles.items()}

    def stop(self):
        for process in self.processes.values():
            process.send(signal.SIGTERM)
            process.kill_all()


# ---- load --------------------------------------------------------------------

def load_command(port, path, **options):
    """callers=8 becomes --callers 8, plain=True becomes --plain; those that
    are None or False are left out."""
    command = [PROGRAMS / "load"]
    for name, value in options.items():
        if value is not None and value is not False:
            command.append(f"--{name.replace('_', '-')}")
            command += [value] if value is not True else []
    return [str(part) for part in command + [port, path]]


def load(port, path, may_fail=False, **options):
    done = subprocess.run(load_command(port, path, **options), text=True,
                          check=True, stdout=subprocess.PIPE)
    result = json.loads(done.stdout)
    assert may_fail or result["errors"] == 0, result
    return result


def syscalls_of(pids, seconds):
    """{name: count} of processes, as strace(1) counts them; the traced are
    slower, so only the counts mean something."""
    report = PROGRAMS / "strace.txt"
    attach = [part for pid in pids for part in ("-p", str(pid))]
    subprocess.run(["timeout", "-s", "INT", str(seconds), "strace", "-f", "-c",
                    "-o", report, *attach], check=False, capture_output=True)
    return {name: int(count) for count, name in re.findall(
        r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$",
        report.read_text(), re.M) if name != "total"}


# ---- all of it ---------------------------------------------------------------

class World:
    """Tandem on one kind of ledger; and its floor, when asked for."""

    def __init__(self, ledger="sqlite", workers=112, env=None, floor=(),
                 body=BODY):
        self.ledger_kind = ledger
        self.workers = workers
        self.env = {"STREAM_WORKERS_MIN": str(workers),
                    "STREAM_WORKERS_MAX": str(workers + 16),
                    "EARLY_FLASH_TERMINATION": "false", **(env or {})}
        self.floor_kinds = floor
        self.body = body
        self.header = None
        if "API_KEY" in self.env:
            self.header = f"X-API-Key: {self.env['API_KEY']}"
        self.floor = None
        self._exits = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as exits:
            self.ledger = exits.enter_context(LEDGERS[self.ledger_kind]())
            self.stack = stack = exits.enter_context(
                Stack(env=self.env, database=self.ledger.database))
            # A disk that stalls for a second is a figure here, no fault.
            stack.expect_errors.add("ledger_write_failed")
            wait_until(lambda: len(stack.workers("stream")) >= self.workers,
                       WORKERS_START_S, "all workers")
            if self.floor_kinds:
                exits.enter_context(self.beside_floor(self.floor_kinds))
            self.models()
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *exception):
        return self._exits.__exit__(*exception)

    @contextlib.contextmanager
    def beside_floor(self, kinds, workers=FLOOR_WORKERS):
        """While inside, there is a floor with so many workers of each kind."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="floor-",
                                               dir=self.stack.folder))
        self.floor = Floor(folder, self.stack.sim_address[1],
                           self.ledger.place(folder), kinds, workers)
        try:
            self.floor.start()
            yield
        finally:
            self.floor.stop()
            self.floor = None

    def models(self, flash_ms=0, pro_ms=0, chunks=1):
        self.stack.sim.set(flash_delay_ms=flash_ms, pro_delay_ms=pro_ms,
                           chunk_ms=0, chunks=chunks, text=ANSWER)

    # ---- load ----

    def floor_load(self, kind, callers, seconds, **options):
        """kind is "file" or one of FLOORS."""
        path = "/hello.txt" if kind == "file" else f"/{kind}"
        post = self.body if kind in ("calls", "shape") else None
        before = self.cpu_seconds(kind)
        result = load(self.floor.port, path, callers=callers, seconds=seconds,
                      post=post, plain=kind == "calls", **options)
        self._note_cpu(result, before, kind)
        return result

    def tandem_load(self, callers, seconds, **options):
        """With what it cost: CPU by role, commits."""
        before, written = self.cpu_seconds(), self._written()
        result = load(self.stack.address[1], QUERY, callers=callers,
                      seconds=seconds, post=self.body, header=self.header,
                      **options)
        self._note_cpu(result, before)
        entries, commits, took = (
            after - was for was, after in zip(written, self._written()))
        result["commits_per_run"] = round(commits / result["answers"], 4)
        result["entries_per_commit"] = round(entries / commits, 2)
        result["commit_us"] = round(took / commits * 1e6)
        return result

    def _note_cpu(self, result, before, kind=None):
        after = self.cpu_seconds(kind)
        each = {role: (after[role] - was) / max(result["answers"], 1) * 1e6
                for role, was in before.items()}
        result["cpu_us"] = {role: round(us, 1) for role, us in each.items()}
        result["cpu_us_all"] = round(sum(
            us for role, us in each.items() if role != "models"), 1)
        result["load_busy"] = round(result["cpu_seconds"] / result["seconds"],
                                    2)

    def _written(self):
        """(entries that became durable, commits, seconds in them)"""
        key = self.env.get("API_KEY")
        page = self.stack.control("/metrics", headers=key and {
            "X-API-Key": key}).body.decode()
        return tuple(
            sum(map(float, re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", page,
                                      re.M)))
            for name in ("audit_writes_total",
                         "audit_write_duration_seconds_count",
                         "audit_write_duration_seconds_sum"))

    # ---- processes ----

    def cpu_seconds(self, kind=None):
        """By role; kind says whose: a floor's, or Tandem's."""
        seconds = {"models": machine.cpu_of(self.stack.modelsim.pid),
                   "database": self.ledger.cpu_seconds()}
        if kind is not None:
            return {**seconds, **self.floor.cpu_seconds(kind)}
        children = {pool: self.stack.workers(pool)
                    for pool in ("stream", "control", "scribe")}
        seconds["web server"] = machine.cpu_of_session(self.stack.server.pid)
        seconds["workers"] = sum(map(machine.cpu_of, children["stream"]))
        seconds["scribe"] = sum(map(machine.cpu_of, children["scribe"]))
        # A worker that served its quota is counted with the master.
        seconds["others"] = machine.cpu_of(self.stack.tandemd.pid, True) + sum(
            map(machine.cpu_of, children["control"]))
        return seconds

    def memory(self, whose):
        """whose: a pool of Tandem's, or a name from below."""
        if whose in ("stream", "control", "scribe"):
            return machine.memory_kb(self.stack.workers(whose))
        if whose == "floor":
            master = self.floor.processes["shape"].pid
            return machine.memory_kb(pid for pid in session_of(master)
                                     if pid != master)
        return machine.memory_kb({
            "master": [self.stack.tandemd.pid],
            "web server": session_of(self.stack.server.pid)}[whose])


def has_strace():
    return shutil.which("strace") is not None

