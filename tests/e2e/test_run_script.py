"""`make run`: from nothing to the first answer, and back to nothing."""

import contextlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from tandem import (BUILD, ROOT, Http1, Process, free_port, processes,
                    wait_until)

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


class Run:
    """The script in a folder that looks like a fresh checkout."""

    def __init__(self, folder=None, port=None, command=(), script="run.sh",
                 **env):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="tr-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "conf").exists():
            for part in ("conf", "sql", "tests/sql"):
                shutil.copytree(ROOT / part, self.folder / part)
        self.port = port or free_port()
        self.process = Process(
            script,  # in the background of a shell, Ctrl-C is ignored
            ["env", "--default-signal=INT", *command,
             self.folder / "conf/dev" / script],
            self.folder / f"output-{self.port}",
            {"PATH": PATH, "B": str(BUILD), "PORT": str(self.port), **env},
            cwd="/")
        self.sessions = {self.process.pid}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill_all()
        for pid in self.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def lines(self):
        return self.process.text().splitlines()

    def until_it_runs(self):
        self.process.ready(lambda: "Stop:" in self.process.text())
        self.children()
        return self

    def interrupt(self):
        """What a terminal does on Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)

    def children(self):
        """Everything that runs because of the script, wherever it went."""
        found = processes()
        ours = {pid for pid, (_, _, _, session) in found.items()
                if session in self.sessions}
        self.sessions |= {session for _, _, parent, session in found.values()
                          if parent in ours}
        return [pid for pid, (_, state, _, session) in found.items()
                if session in self.sessions and state != "Z"]

    def assert_all_gone(self):
        wait_until(lambda: not self.children(), 20, "everything to be gone")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", self.port))

    def open(self, sim="flash.delay_ms=10 pro.delay_ms=30"):
        return Http1(("127.0.0.1", self.port), "POST", "/api/reasoning/query",
                     {"query": f"why? [[sim {sim}]]"})


def test_the_first_line_names_the_provider_and_the_curl_line_works():
    with Run() as run:
        run.until_it_runs()
        assert "modelsim" in run.lines()[0]
        curl = next(line for line in run.lines() if "curl -N" in line)
        answer = subprocess.run(shlex.split(curl), capture_output=True,
                                timeout=20, check=True).stdout.decode()
        assert re.findall("^event: (.*)$", answer, re.M) == \
            ["preliminary", "final", "done"]
        assert '"state":"committed"' in answer
        for word in ("/health", "/api/experiments"):
            url = re.search(rf"http://\S*{word}", run.process.text()).group()
            subprocess.run(["curl", "-fsS", url], capture_output=True,
                           timeout=60, check=True)
        verify = re.search(r"Verify: +(.*)", run.process.text()).group(1)
        result = subprocess.run(["sh", "-c", verify], cwd=run.folder,
                                capture_output=True, timeout=60, check=False)
        assert result.returncode == 0, result
        run.interrupt()
        assert run.process.wait(20) == 0
        run.assert_all_gone()
        assert run.lines()[-1].startswith("Stopped.")
        assert (run.folder / "var/ledger.db").exists()
        for name in ("tandemd", "lighttpd", "modelsim"):
            assert (run.folder / f"var/log/{name}.log").exists()


@pytest.mark.takes(240)
def test_on_a_database_of_its_own_that_is_gone_afterwards():
    with Run(script="run_pg.sh") as run:
        run.until_it_runs()
        cluster = re.search(r"psql -h (\S+)", run.process.text()).group(1)
        assert run.open().finish(20).data("done")["audit"]["state"] == \
            "committed"
        listed = subprocess.run(
            [BUILD / "tandemctl", "runs", "--json", "--ledger",
             f"postgresql:///ledger?host={cluster}&user=reader"],
            capture_output=True, timeout=20, check=True).stdout
        assert len(listed.splitlines()) == 1
        assert not (run.folder / "var/ledger.db").exists()
        run.interrupt()
        assert run.process.wait(30) == 0
        run.assert_all_gone()
        assert not os.path.exists(cluster)


def test_ctrl_c_lets_a_running_query_end_first():
    with Run() as run:
        run.until_it_runs()
        stream = run.open("flash.delay_ms=50 pro.delay_ms=1500")
        stream.until("preliminary", 20)
        run.interrupt()
        stream.finish(20)
        assert stream.names() == ["preliminary", "final", "done"]
        assert stream.data("done")["status"] == "ok"
        assert run.process.wait(20) == 0
        run.assert_all_gone()


def test_a_second_ctrl_c_cuts_it_short():
    with Run() as run:
        run.until_it_runs()
        stream = run.open("flash.delay_ms=50 pro.delay_ms=30000")
        stream.until("preliminary", 20)
        run.interrupt()
        wait_until(lambda: "Stopping" in run.process.text(), 20)
        run.interrupt()
        assert run.process.wait(20) == 0
        run.assert_all_gone()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_term_and_hup_stop_it_too(number):
    with Run() as run:
        run.until_it_runs()
        run.process.send(number)
        assert run.process.wait(20) == 0
        run.assert_all_gone()


def test_a_port_in_use_is_said_clearly_before_anything_starts():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with Run(port=port) as run:
            assert run.process.wait(20) == 1
            assert f"Port {port} is in use" in run.process.text()
            assert re.search(r"PORT=\d+ make run", run.process.text())
            assert not (run.folder / "var").exists()


def test_two_runs_of_one_checkout_keep_out_of_each_others_way():
    with Run() as first, Run(folder=first.folder) as second:
        first.until_it_runs()
        second.until_it_runs()
        states = {run.open().finish(20).data("done")["audit"]["log"]
                  for run in (first, second)}
        assert len(states) == 2, "each has a ledger of its own"
        for run in (second, first):
            run.process.send(signal.SIGTERM)
            assert run.process.wait(20) == 0
            run.assert_all_gone()


def test_a_real_provider_is_named_and_no_simulated_one_is_started():
    with Run(OPENAI_BASE_URL="http://127.0.0.1:1/v1") as run:
        run.until_it_runs()
        assert "OpenAI" in run.lines()[0]
        assert "http://127.0.0.1:1/v1" in run.lines()[0]
        assert not (run.folder / "var/log/modelsim.log").exists()
        answer = run.open().finish(20)
        assert answer.names()[-1] == "done"
        run.interrupt()
        assert run.process.wait(20) == 0


@pytest.mark.parametrize("name", ["lighttpd", "tandemd", "modelsim"])
def test_when_one_of_them_dies_the_others_are_stopped_and_it_is_said(name):
    with Run() as run:
        run.until_it_runs()
        victim = min(pid for pid in run.children()
                     if processes().get(pid, ("",))[0] == name)
        os.kill(victim, signal.SIGKILL)
        assert run.process.wait(20) == 1
        assert f"{name} has stopped" in run.process.text()
        assert f"var/log/{name}.log" in run.process.text()
        run.assert_all_gone()


def test_a_configuration_that_is_wrong_is_shown():
    with Run(FLASH_TIMEOUT_S="never") as run:
        assert run.process.wait(20) == 1
        assert "FLASH_TIMEOUT_S" in run.process.text()
        run.assert_all_gone()


def test_a_path_too_long_for_a_socket_is_no_obstacle():
    base = pathlib.Path(tempfile.mkdtemp(prefix="tr-"))
    deep = base / ("a rather long and blank-ridden name " * 4).strip()
    try:
        with Run(folder=deep) as run:
            run.until_it_runs()
            assert run.open().finish(20).names()[-1] == "done"
            run.process.send(signal.SIGTERM)
            assert run.process.wait(20) == 0
    finally:
        shutil.rmtree(base, ignore_errors=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_an_ordinary_user_can_run_it():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tr-"))
    shutil.copytree(ROOT / "conf", folder / "conf")
    subprocess.run(["chown", "-R", "nobody:nogroup", folder], check=True)
    with Run(folder=folder, command=[
            "setpriv", "--reuid=nobody", "--regid=nogroup",
            "--clear-groups"]) as run:
        run.until_it_runs()
        assert run.open().finish(20).names()[-1] == "done"
        assert (folder / "var").owner() == "nobody"
        os.killpg(run.process.pid, signal.SIGINT)
        assert run.process.wait(20) == 0
        run.assert_all_gone()
