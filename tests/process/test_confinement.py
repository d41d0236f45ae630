"""Whoever takes over a worker cannot reach the record: shown from inside."""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import signal
import socket

import pytest

import inside
from database import Cluster
from inside import Inside, landlock
from tandem import Stack, TooLate, wait_until

FAST = "flash.delay_ms=1 pro.delay_ms=5 chunk_ms=0"
FEW = {"STREAM_WORKERS_MIN": "2", "STREAM_WORKERS_SPARE": "1",
       "LOG_LEVEL": "DEBUG"}
CHANGE = os.O_RDWR

pytestmark = [
    pytest.mark.skipif(not inside.CAN, reason=inside.WHY_NOT),
    pytest.mark.skipif(landlock() == 0, reason="no Landlock in this kernel"),
]


def ledger_files(stack):
    ledger = stack.folder / "state" / "ledger.db"
    return [ledger, f"{ledger}-wal", f"{ledger}-shm"]


def secret_files(stack):
    """What no worker may open, and the scribe may."""
    state = stack.folder / "state"
    batch = state / "spool" / "new" / "of-a-test"
    batch.touch()
    return [state / "ledger.db.lock", state / "checkpoint.key",
            state / "checkpoints.txt", batch, stack.config_path]


def check_worker(pid, stack, opens):
    """opens: which of the ledger's files it may read."""
    state = stack.folder / "state"
    scribe = stack.workers("scribe")[0]
    with Inside(pid) as worker:
        for path in ledger_files(stack) + secret_files(stack):
            expected = 0 if path in opens else errno.EACCES
            assert worker.open(path) == expected, path
            assert worker.open(path, CHANGE) == errno.EACCES, path
            assert worker.open(path, os.O_WRONLY | os.O_APPEND) == \
                errno.EACCES, path
            assert worker.error("unlink", path) == errno.EACCES, path
            assert worker.error("rename", path, f"{path}.away") == \
                errno.EACCES, path
            if landlock() >= 3:
                assert worker.error("truncate", path, 0) == errno.EACCES, path
        for folder in (state, state / "spool" / "new"):
            assert worker.open(folder) == errno.EACCES
            assert worker.open(folder / "new", CHANGE | os.O_CREAT) == \
                errno.EACCES
        for other in (scribe, stack.tandemd.pid):
            for name in ("mem", "environ", "maps"):
                assert stack.is_sanitized() or \
                    worker.open(f"/proc/{other}/{name}") == errno.EACCES, name
            assert worker.call("ptrace", inside.PTRACE_ATTACH, other) == \
                -errno.EPERM
            if landlock() >= 6:
                assert not worker.may_signal(other)
        for path in ("/etc/hosts", "/etc/resolv.conf", "/usr/bin/env",
                     "/dev/urandom"):
            if os.path.exists(path):
                assert worker.open(path) == 0, path


def rulesets(pid):
    """Whoever has one can change what others enter with later."""
    folder = f"/proc/{pid}/fd"
    links = []
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(f"{folder}/{name}"))
    return sum("landlock-ruleset" in link for link in links)


def check_all(stack):
    assert rulesets(stack.tandemd.pid) >= 2
    for pool in ("stream", "control", "scribe"):
        for pid in stack.workers(pool):
            assert rulesets(pid) == 0, pool
    for pid in stack.workers("stream"):
        check_worker(pid, stack, [])
    for pid in stack.workers("control"):
        check_worker(pid, stack, ledger_files(stack))


def is_served(stack):
    run_id = stack.ask(sim=FAST).data("done")["run_id"]
    listed = stack.control("/api/experiments")
    assert listed.status == 200, listed
    assert json.loads(listed.body)["experiments"][0]["id"] == run_id
    return run_id


@pytest.fixture(scope="module")
def stack():
    with Stack(web=None, env=FEW, config={"IDLE_TIMEOUT_S": "20"}) as stack:
        yield stack


def test_the_start_says_so(stack):
    assert f"confined=landlock-{landlock()}" in \
        stack.log.lines(event="started")[0]["msg"]


def test_the_scribe_can_open_what_workers_cannot(stack):
    """Else the other tests would show nothing."""
    with Inside(stack.workers("scribe")[0]) as scribe:
        for path in ledger_files(stack) + secret_files(stack):
            assert scribe.open(path) == 0 and scribe.open(path, CHANGE) == 0


def test_no_worker_can_open_the_record(stack):
    is_served(stack)
    check_all(stack)
    is_served(stack)


def test_what_comes_into_etc_later_is_not_shown(stack):
    """It is shown entry by entry: /etc/tandem may be made at any time."""
    for pool in ("stream", "control"):
        with Inside(stack.workers(pool)[0]) as worker:
            assert worker.open("/etc") == errno.EACCES
            assert worker.open("/usr") == 0


def test_workers_that_are_forked_later_neither(stack):
    before = stack.workers("stream") + stack.workers("control")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(set(stack.workers("control")) - set(before)) == 2 and
               set(stack.workers("stream")) - set(before), 20, "new workers")
    wait_until(lambda: stack.control("/readyz").status == 200, 20, "ready")
    check_all(stack)


def test_nor_those_of_a_new_generation(stack):
    before = set(stack.workers("stream") + stack.workers("control"))
    stack.tandemd.send(signal.SIGHUP)
    stack.log.wait_for(20, event="reload_finished")
    wait_until(lambda: not before & set(
        stack.workers("stream") + stack.workers("control")), 20,
        "the old workers to leave")
    check_all(stack)
    is_served(stack)


def test_state_dir_may_be_a_link_and_beside_what_is_shown():
    """/usr is shown: what lies there is hidden all the same."""
    folder = f"/usr/local/share/tandem-test-{os.getpid()}"
    os.makedirs(f"{folder}/state", mode=0o700)
    try:
        with Stack(web=None, env=FEW, config={}, start=False) as stack:
            (stack.folder / "state").rmdir()
            (stack.folder / "state").symlink_to(f"{folder}/state")
            stack.start()
            is_served(stack)
            check_all(stack)
            with Inside(stack.workers("stream")[0]) as worker:
                for name in ("ledger.db", "checkpoint.key"):
                    assert worker.open(f"{folder}/state/{name}") == \
                        errno.EACCES
            stack.stop()
            stack.check()
    finally:
        shutil.rmtree(folder)


def test_an_ordinary_user_is_confined_as_root_is():
    user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    with Stack(web=None, env=FEW, config={}, start=False, under=user) as stack:
        for path in (stack.folder, stack.folder / "state"):
            shutil.chown(path, "nobody", "nogroup")
        stack.write_config()
        shutil.chown(stack.config_path, "nobody", "nogroup")
        stack.start()
        is_served(stack)
        check_all(stack)


def test_inherited_sockets_change_nothing():
    with Stack(web=None, env=FEW, config={}, start=False) as stack, \
            socket.socket(socket.AF_UNIX) as stream, \
            socket.socket(socket.AF_UNIX) as control:
        for listener, name in ((stream, "stream"), (control, "control")):
            listener.bind(str(stack.folder / f"{name}.sock"))
            listener.listen(64)
        stack.start_modelsim()
        stack.start_tandemd(listeners=(stream, control))
        is_served(stack)
        check_all(stack)


def test_behind_a_web_server_all_is_served():
    with Stack(env=FEW, config={}) as stack:
        is_served(stack)
        check_all(stack)


def test_it_can_be_turned_off():
    with Stack(web=None, env={**FEW, "CONFINE_WORKERS": "false"},
               config={}) as stack:
        assert "confined=none" in stack.log.lines(event="started")[0]["msg"]
        with Inside(stack.workers("stream")[0]) as worker:
            assert worker.open(stack.folder / "state" / "ledger.db") == 0
        is_served(stack)


def test_a_folder_of_certificates_may_be_replaced(tmp_path):
    """Stands for all that is read by name and made anew by others."""
    certs = tmp_path / "certs"
    certs.mkdir()
    (certs / "one").touch()
    with Stack(web=None, env={**FEW, "SSL_CERT_DIR": str(certs)},
               config={}) as stack:
        with Inside(stack.workers("stream")[0]) as worker:
            assert worker.open(certs / "one") == 0
            assert worker.open(certs / "one", CHANGE) == errno.EACCES
            assert worker.open(tmp_path) == errno.EACCES
        before = set(stack.workers("stream") + stack.workers("control"))
        certs.rename(tmp_path / "old")
        certs.mkdir()
        (certs / "two").touch()
        stack.log.wait_for(20, event="confinement_renewed")
        wait_until(lambda: not before & set(
            stack.workers("stream") + stack.workers("control")), 20,
            "the old workers to leave")
        is_served(stack)
        with Inside(stack.workers("stream")[0]) as worker:
            assert worker.open(certs / "two") == 0
            assert worker.open(stack.config_path) == errno.EACCES


def test_names_are_looked_up():
    with Stack(web=None, env=FEW, config={}, start=False) as stack:
        stack.start_modelsim()
        stack.env["GEMINI_BASE_URL"] = \
            f"http://localhost:{stack.sim_address[1]}"
        stack.start_tandemd()
        answer = stack.ask(sim=FAST)
        assert answer.names() == ["preliminary", "final", "done"]


def logged(path, run_id):
    return path.exists() and run_id in path.read_text()


@pytest.mark.parametrize("folder", ["log", "state"])
def test_a_log_that_is_rotated_goes_on(folder):
    """In a folder of its own; and beside the ledger, which stays shut."""
    with Stack(web=None, env=FEW, config={}, start=False) as stack:
        path = stack.folder / folder / "tandem.log"
        path.parent.mkdir(exist_ok=True)
        stack.env["LOG_FILE"] = str(path)
        stack.start_modelsim()
        stack.start_tandemd()
        assert wait_until(
            lambda: logged(path, stack.ask(sim=FAST).run_id), 10)
        path.rename(f"{path}.1")
        stack.tandemd.send(signal.SIGUSR1)
        wait_until(path.exists, 10, "the new file")
        wait_until(lambda: logged(path, stack.ask(sim=FAST).run_id), 20,
                   "a run in the new file")


def is_alive(stack):
    """A scribe that waits for its ledger is not ready yet."""
    with contextlib.suppress(OSError, TooLate):
        return stack.control("/livez").status == 200


def test_a_ledger_that_comes_late_can_be_read():
    """Control workers were confined before its files were there."""
    with Stack(web=None, env=FEW, config={}, start=False) as stack:
        stack.expect_errors |= {"ledger_store_away", "ledger_write_failed"}
        with open(stack.folder / "state" / "ledger.db.lock", "w",
                  encoding="ascii") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)
            stack.start_modelsim()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(stack, "_answers", lambda: is_alive(stack))
                stack.start_tandemd()
            assert stack.control("/api/experiments").status == 503
        wait_until(lambda: stack.control("/api/experiments").status == 200,
                   20, "a listing")
        is_served(stack)
        check_all(stack)


def test_with_postgresql_no_worker_opens_a_file_of_the_record():
    with Cluster() as cluster:
        cluster.deploy()
        with Stack(web=None, env=FEW, config={}, database=cluster) as stack:
            passes = {name: stack.folder / f"{name}.pgpass"
                      for name in ("writer", "reader")}
            stack.stop_tandemd()
            for name, path in passes.items():
                path.touch(0o600)
            for option, name in (("DATABASE_URL", "writer"),
                                 ("DATABASE_READER_URL", "reader")):
                url = stack.env[option]
                stack.env[option] = (f"{url}{'&' if '?' in url else '?'}"
                                     f"passfile={passes[name]}")
            stack.start_tandemd()
            is_served(stack)
            state = stack.folder / "state"
            for pool in ("stream", "control"):
                with Inside(stack.workers(pool)[0]) as worker:
                    for path in (state / "checkpoint.key", stack.config_path,
                                 state / "spool" / "new", passes["writer"]):
                        assert worker.open(path) == errno.EACCES, path
                    assert worker.open(passes["reader"]) == \
                        (0 if pool == "control" else errno.EACCES)
            is_served(stack)
