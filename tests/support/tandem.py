"""Start all of Tandem in a folder of its own, and see it off.

    with Stack(env={"HEARTBEAT_MS": "100"}) as stack:
        answer = stack.ask("why?", sim="flash.delay_ms=10 pro.delay_ms=20")
        assert answer.names() == ["preliminary", "final", "done"]

Leaving the block stops everything and checks what every test wants: exit code
0, no error in the log (but for expect_errors), no report of a sanitizer, no
process left, an error-free ledger.  Every wait has a deadline.
"""

import contextlib
import glob
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from database import DatabaseLedger
from exchange import Fcgi, Http1, Http2, TooLate, drain  # noqa: F401
from lateness import Lateness
from ledger import Ledger

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("TANDEM_BUILD", "build/gcc")
QUERY = "/api/reasoning/query"
START_S = 20
MODULES = "/usr/lib/apache2/modules"


_LIKE_SYSTEMD = """
import os, sys
held = [os.dup2(int(fd), 100 + i)
        for i, fd in enumerate(sys.argv[1].split(","))]
for i, fd in enumerate(held):
    os.dup2(fd, 3 + i)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(held)))
os.execv(sys.argv[2], sys.argv[2:])
"""


def wait_until(condition, within, what="a condition"):
    """Asks until it is true; returns its value."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TooLate(f"waited {within} s for {what}")
        time.sleep(0.005)


def free_port():
    """None that the kernel gives to a connection, which might be quicker."""
    while True:
        port = random.randrange(10000, 32768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def program(name):
    """A program that the system keeps out of an ordinary user's PATH."""
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    assert found, f"{name} is not installed"
    return found


def processes():
    """{pid: (name, state, parent, session)} of all there are."""
    found = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError):
            with open(path, encoding="latin-1") as file:
                text = file.read()
            name = text[text.index("(") + 1:text.rindex(")")]
            fields = text[text.rindex(")") + 2:].split()
            found[int(path.split("/")[2])] = (
                name, fields[0], int(fields[1]), int(fields[3]))
    return found


def session_of(pid):
    """Living processes that belong to what was started as pid."""
    return [other for other, (_, state, _, session) in processes().items()
            if session == pid and state != "Z"]


class Process:
    """A program in a session of its own; what it says goes to a file."""

    def __init__(self, name, command, log, env=None, cwd=None, pass_fds=()):
        self.name = name
        self.log = pathlib.Path(log)
        with open(self.log, "ab") as file:
            self.popen = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL,
                stdout=file, stderr=file, env=env, cwd=cwd, pass_fds=pass_fds,
                start_new_session=True)

    @property
    def pid(self):
        return self.popen.pid

    def is_running(self):
        return self.popen.poll() is None

    def text(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def ready(self, condition):
        def asked():
            assert self.is_running(), \
                f"{self.name} ended: {self.text()[-2000:]}"
            return condition()
        return wait_until(asked, START_S, f"{self.name} to get ready")

    def send(self, number):
        self.popen.send_signal(number)

    def wait(self, within):
        try:
            return self.popen.wait(within)
        except subprocess.TimeoutExpired:
            raise TooLate(f"{self.name} did not end within {within} s: "
                          f"{self.text()[-2000:]}") from None

    def left_over(self):
        return session_of(self.pid)

    def kill_all(self):
        """For the end of a test that went wrong."""
        for pid in self.left_over():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(20)


class Log:
    """tandemd's log: JSON lines."""

    def __init__(self, process):
        self.process = process

    def lines(self, **wanted):
        """All lines, or those whose members have the wanted values."""
        found = []
        for line in self.process.text().splitlines():
            if line.startswith("{"):
                with contextlib.suppress(ValueError):  # still being written
                    found.append(json.loads(line))
        return [line for line in found if all(
            line.get(key) == value for key, value in wanted.items())]

    def wait_for(self, within, **wanted):
        return wait_until(lambda: self.lines(**wanted), within,
                          f"the log line {wanted}")[0]


class Sim:
    """The simulated provider's control path."""

    def __init__(self, stack):
        self.stack = stack

    def _call(self, method, path, body=None):
        answer = Http1(self.stack.sim_address, method, path, body).finish(20)
        assert answer.status in (200, 204), bytes(answer.body)
        return json.loads(answer.body) if answer.body else None

    def set(self, **settings):
        """flash_delay_ms=20 means flash.delay_ms."""
        self._call("POST", "/_sim/set", {
            re.sub("^(flash|pro|token)_", r"\1.", key): value
            for key, value in settings.items()})

    def reset(self):
        self._call("POST", "/_sim/reset", {})

    def stats(self):
        return self._call("GET", "/_sim/stats")

    def requests(self):
        return self._call("GET", "/_sim/requests")

    @contextlib.contextmanager
    def held(self):
        """While inside, no model says or takes a word, however long it is."""
        pid = self.stack.modelsim.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: processes()[pid][1] == "T", 20,
                       "modelsim to stand still")
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


class Stack:
    """modelsim, tandemd and a web server ("lighttpd", "apache2" or None); the
    ledger is a file, or in the database of a Cluster."""

    def __init__(self, web="lighttpd", env=None, config=None, build=BUILD,
                 start=True, under=(), database=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="td-"))
        self.folder.chmod(0o755)
        (self.folder / "state").mkdir(mode=0o700)
        self.web = web
        self.build = pathlib.Path(build)
        self.database = database
        self.env = {**(database.environment() if database else {}),
                    **(env or {})}
        self.config = config  # {option: value} for a file, or None
        self.expect_errors = set()  # log events that are no fault here
        self.expect_exit = 0
        self.tandemd = self.modelsim = self.server = None
        self.address = self.sim_address = None
        self.sim = Sim(self)
        self.ledger = Ledger(
            self.folder / "state" / "ledger.db",
            lambda: self.expect_errors.update(
                ("ledger_write_failed", "ledger_store_away"))) \
            if database is None else DatabaseLedger(database)
        self._start = start
        self._under = list(under)  # such as valgrind with its options

    # ---- starting ----

    def __enter__(self):
        try:
            for name in ("tandemd", "tandemctl", "modelsim"):
                assert (self.build / name).exists(), \
                    f"{self.build / name} is missing: run make"
            if self._start:
                self.start()
        except BaseException:
            self.clean_up()
            raise
        return self

    def start(self):
        self.start_modelsim()
        self.start_tandemd()
        if self.web:
            self.start_web()

    def lateness(self, pools=("stream", "control")):
        """Counts from now on how late the machine is; see there."""
        others = [pid for process in (self.server, self.modelsim)
                  if process for pid in process.left_over()]
        return Lateness(
            [self.tandemd.pid, *self.workers("scribe"), *others],
            map(self.workers, pools))

    def start_modelsim(self):
        self.modelsim = Process(
            "modelsim", [self.build / "modelsim", "--port", "0"],
            self.folder / "modelsim.log", self._environment())

        def port():
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+)",
                              self.modelsim.text())
            return found and int(found.group(1))
        self.sim_address = ("127.0.0.1", self.modelsim.ready(port))

    def _environment(self, **more):
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG")
                if name in os.environ}
        kept["ASAN_OPTIONS"] = f"log_path={self.folder}/asan:exitcode=86"
        kept["UBSAN_OPTIONS"] = \
            f"log_path={self.folder}/ubsan:print_stacktrace=1"
        return {**kept, **more}

    def tandem_environment(self):
        host, port = self.sim_address or ("127.0.0.1", 9)
        as_www_data = self.web == "apache2" and os.geteuid() == 0
        return self._environment(**{
            "SOCKET_GROUP": "www-data" if as_www_data else "",
            "STATE_DIR": str(self.folder / "state"),
            "INSTANCE_NAME": self.folder.name,
            "STREAM_SOCKET": str(self.folder / "stream.sock"),
            "CONTROL_SOCKET": str(self.folder / "control.sock"),
            "SCRIBE_SOCKET": str(self.folder / "scribe.sock"),
            "GEMINI_API_KEY": "simulated-key-0123456789",
            "LOG_LEVEL": "DEBUG",
            "BREAKER_FAILURES": "0",  # one test's faults are not the next's
            "GEMINI_BASE_URL": f"http://{host}:{port}",
            **self.env})

    @property
    def config_path(self):
        return self.folder / "tandem.conf"

    def write_config(self, **config):
        self.config = config
        self.config_path.write_text("".join(
            f"{name}={value}\n" for name, value in config.items()))

    def start_tandemd(self, listeners=()):
        """listeners are passed as systemd does, from descriptor 3 on."""
        command = [self.build / "tandemd"]
        if self.config is not None:
            self.write_config(**self.config)
            command += ["-c", self.config_path]
        numbers = [listener.fileno() for listener in listeners]
        if numbers:
            command = [sys.executable, "-c", _LIKE_SYSTEMD,
                       ",".join(map(str, numbers)), *command]
        self.tandemd = Process("tandemd", self._under + command,
                               self.folder / "tandemd.log",
                               self.tandem_environment(), pass_fds=numbers)
        self.log = Log(self.tandemd)
        self.tandemd.ready(self._answers)

    def _answers(self):
        with contextlib.suppress(OSError, TooLate):
            return self.control("/readyz").status == 200

    def start_web(self):
        """The shipped snippets are what is tested."""
        for attempt in range(3):  # somebody may take the port before we do
            self.address = ("127.0.0.1", free_port())
            command = getattr(self, f"_{self.web}")()
            self.server = Process(self.web, command,
                                  self.folder / f"{self.web}.log",
                                  self._environment())
            try:
                self.server.ready(self._accepts)
                return
            except AssertionError:
                if attempt == 2 or "in use" not in self.server.text():
                    raise

    def _accepts(self):
        with contextlib.suppress(OSError):
            with socket.create_connection(self.address, 1):
                return True

    def _snippet(self, name, old, new):
        text = (ROOT / "conf" / name / "tandem.conf").read_text()
        assert old in text
        path = self.folder / f"{name}-tandem.conf"
        path.write_text(text.replace(old, new))
        return path

    def _lighttpd(self):
        snippet = self._snippet("lighttpd", '"/run/tandem"',
                                f'"{self.folder}"')
        (self.folder / "uploads").mkdir(exist_ok=True)
        path = self.folder / "lighttpd.conf"
        path.write_text(
            'server.bind = "127.0.0.1"\n'
            f'server.port = {self.address[1]}\n'
            f'server.document-root = "{self.folder}/uploads"\n'
            f'server.upload-dirs = ( "{self.folder}/uploads" )\n'
            f'include "{snippet}"\n')
        return [program("lighttpd"), "-D", "-f", path]

    def _apache2(self):
        snippet = self._snippet("apache", '"/run/tandem"', f'"{self.folder}"')
        path = self.folder / "apache2.conf"
        modules = "".join(
            f"LoadModule {name}_module {MODULES}/mod_{name}.so\n"
            for name in ("mpm_event", "authz_core", "env", "proxy",
                         "proxy_fcgi"))
        account = ("User www-data\nGroup www-data\n"
                   if os.geteuid() == 0 else "")
        path.write_text(
            f"ServerRoot {self.folder}\nServerName localhost\n"
            f"Listen 127.0.0.1:{self.address[1]}\n"
            f"PidFile {self.folder}/apache2.pid\n"
            f"ErrorLog {self.folder}/apache2.log\n"
            f"DefaultRuntimeDir {self.folder}\n"
            f"{modules}{account}"
            f"Include {snippet}\n")
        return [program("apache2"), "-D", "FOREGROUND", "-f", path]

    # ---- asking ----

    def http(self, method, path, body=None, headers=None, **more):
        return Http1(self.address, method, path, body, headers, **more)

    def get(self, path, headers=None):
        return self.http("GET", path, headers=headers).finish(20)

    def control(self, path, method="GET", headers=None):
        """Past the web server."""
        return Fcgi(str(self.folder / "control.sock"), method, path,
                    headers=headers).finish(20)

    def open(self, query="why is the sky blue?", sim="", path=QUERY,
             how=None, headers=None, **members):
        """Sends a query; sim is what modelsim shall do with it."""
        if sim:
            query = f"{query} [[sim {sim}]]"
        body = {"query": query, **members}
        how = how or ("http" if self.web else "fastcgi")
        if how == "http":
            return Http1(self.address, "POST", path, body, headers)
        if how == "http2":
            return Http2(self.address, "POST", path, body, headers)
        return Fcgi(str(self.folder / "stream.sock"), "POST", path, body,
                    headers)

    def ask(self, query="why is the sky blue?", sim="", within=15, **more):
        """A query and all of its answer."""
        answer = self.open(query, sim, **more).finish(within)
        assert answer.status == 200, answer
        return answer

    def metric(self, name, **labels):
        """The sum of all series of that name that have these labels."""
        answer = self.control("/metrics")
        assert answer.status == 200, answer
        values = []
        for line in answer.body.decode().splitlines():
            found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if not found or found.group(1) != name:
                continue
            if all(f'{label}="{value}"' in (found.group(2) or "")
                   for label, value in labels.items()):
                values.append(float(found.group(3)))
        assert values, f"no series {name} with {labels}"
        return sum(values)

    def tandemctl(self, *arguments):
        return subprocess.run(
            [self.build / "tandemctl", *arguments], capture_output=True,
            text=True, timeout=60, env=self.tandem_environment(),
            check=False)

    def workers(self, pool):
        """Pids of living children of a pool: the master tells (at DEBUG)."""
        alive = set(session_of(self.tandemd.pid))
        told = re.findall(rf"pool={pool} child_slot=\d+ child_pid=(\d+)",
                          self.tandemd.text())
        return [pid for pid in map(int, told) if pid in alive]

    # ---- the end ----

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.stop()
                self.check()
        except BaseException:
            self.tell_logs()
            raise
        else:
            if kind is not None:
                self.tell_logs()
        finally:
            self.clean_up()

    def stop(self):
        """In order; each has to end by itself."""
        if self.server and self.server.is_running():
            self.server.send(signal.SIGTERM)
            self.server.wait(20)
        self.stop_tandemd()
        if self.modelsim and self.modelsim.is_running():
            self.modelsim.send(signal.SIGTERM)
            self.modelsim.wait(20)

    def stop_tandemd(self, within=40):
        if self.tandemd is None:
            return
        if self.tandemd.is_running():
            self.tandemd.send(signal.SIGTERM)
        code = self.tandemd.wait(within)
        assert code == self.expect_exit, \
            f"tandemd: exit code {code}: {self.tandemd.text()[-3000:]}"
        wait_until(lambda: not self.tandemd.left_over(), 20,
                   "the last child of tandemd to end")

    def check(self):
        errors = [line for line in self.log.lines(level="error")
                  if line["event"] not in self.expect_errors]
        assert not errors, errors
        self.check_sanitizers()
        self.check_ledger()

    def is_sanitized(self):
        return b"__asan_init" in (self.build / "tandemd").read_bytes()

    def check_sanitizers(self):
        reports = [path.read_text(errors="replace")[:4000]
                   for path in self.folder.glob("*san.*")]
        for process in (self.tandemd, self.modelsim):
            if process and "runtime error:" in process.text():
                reports.append(process.text()[-4000:])
        assert not reports, reports

    def check_ledger(self):
        where = ["--ledger", self.database.url("auditor")] \
            if self.database else []
        result = self.tandemctl("verify", *where)
        assert result.returncode == 0, result
        assert self.ledger.unpaired() == []
        assert self.ledger.gaps() == []

    def tell_logs(self):
        """pytest shows it under the failure."""
        for process in (self.tandemd, self.server, self.modelsim):
            if process:
                print(f"---- {process.name}\n{process.text()[-4000:]}")

    def clean_up(self):
        for process in (self.server, self.tandemd, self.modelsim):
            if process:
                process.kill_all()
        shutil.rmtree(self.folder, ignore_errors=True)
