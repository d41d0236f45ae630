"""tandemctl selftest: every promise holds, and where one does not it says so.
"""

import contextlib
import glob
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest

from tandem import BUILD, wait_until

BUILD = pathlib.Path(BUILD).resolve()


@pytest.fixture
def folder():
    """Short, as the names of sockets are."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="st-"))
    (path / "tmp").mkdir()
    (path / "state").mkdir()
    yield path
    shutil.rmtree(path, ignore_errors=True)


def environment(folder):
    """What a configured service would have, none of which is the test's."""
    return {"PATH": os.environ["PATH"], "TMPDIR": str(folder / "tmp"),
            "STATE_DIR": str(folder / "state"),
            "STREAM_SOCKET": str(folder / "state/stream.sock"),
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
            "STREAM_WORKERS_MAX": "1", "RUN_DEADLINE_S": "0.1"}


def selftest(folder, *options, program=BUILD / "tandemctl"):
    return subprocess.run(
        [program, "selftest", "--faults", *options], capture_output=True,
        text=True, timeout=280, env=environment(folder), check=False)


def running_from(folder):
    """Pids of processes that write their log there."""
    found = []
    for path in glob.glob("/proc/[0-9]*/fd/1"):
        with contextlib.suppress(OSError):
            if os.readlink(path).startswith(str(folder)):
                found.append(int(path.split("/")[2]))
    return found


def nothing_is_left(folder):
    return running_from(folder) == [] and \
        list((folder / "tmp").iterdir()) == [] and \
        list((folder / "state").iterdir()) == []


def install(folder, **settings):
    """tandemctl and modelsim, with a tandemd that has settings of its own."""
    bin_folder, sbin_folder = folder / "bin", folder / "sbin"
    bin_folder.mkdir()
    sbin_folder.mkdir()
    for name in ("tandemctl", "modelsim"):
        shutil.copy(BUILD / name, bin_folder)
    words = " ".join(f"{name}={value}" for name, value in settings.items())
    tandemd = sbin_folder / "tandemd"
    tandemd.write_text(f'#!/bin/sh\nexec env {words} "{BUILD}/tandemd" "$@"\n')
    tandemd.chmod(0o755)
    return bin_folder / "tandemctl"


@pytest.mark.takes(300)
def test_every_promise_holds_and_nothing_is_left(folder):
    result = selftest(folder, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line for line in lines if line["verdict"] != "ok"] == []
    assert result.returncode == 0, result
    assert [line["promise"] for line in lines] == [
        "P1", "P1", "P1", "P4", "P7", "P3", "P3", "P2", "P3", "P1", "P3"]
    seen = {line["fault"]: line["seen"] for line in lines}
    assert "pro_incomplete" in seen["a model's answer is cut in the middle"]
    assert " + 1 orphaned" in seen["afterwards: the whole record"]
    assert sum(line["took_ms"] for line in lines) < 60000
    assert nothing_is_left(folder)


@pytest.mark.takes(300)
def test_a_promise_that_is_not_kept_is_told_and_the_folder_kept(folder):
    program = install(folder, IDLE_TIMEOUT_S="30")
    result = selftest(folder, "--keep", program=program)
    assert result.returncode == 1, result
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["PROMISE", "FAULT", "SEEN", "VERDICT"]
    failed, = [line for line in lines[1:-1] if not line.endswith(" ok")]
    assert failed.startswith("P1       a model falls silent")
    assert failed.endswith("FAILED")
    assert lines[-1].startswith("1 of 11 did not hold")
    kept, = (folder / "tmp").iterdir()
    assert str(kept) in result.stderr
    assert {"ledger.db", "tandemd.log", "modelsim.log"} <= \
        {path.name for path in kept.iterdir()}
    assert running_from(folder) == []


def test_ctrl_c_stops_everything(folder):
    with subprocess.Popen(
            [BUILD / "tandemctl", "selftest", "--faults"], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment(folder)) as process:
        assert process.stdout.readline().startswith("PROMISE")
        assert len(running_from(folder)) > 8
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "interrupted" in error
    assert nothing_is_left(folder)


def test_its_programs_do_not_outlive_it(folder):
    with subprocess.Popen(
            [BUILD / "tandemctl", "selftest", "--faults"], text=True,
            stdout=subprocess.PIPE, env=environment(folder)) as process:
        assert process.stdout.readline().startswith("PROMISE")
        process.kill()
    wait_until(lambda: running_from(folder) == [], 20, "all of it to end")


@pytest.mark.parametrize("missing", ["tandemd", "modelsim"])
def test_a_missing_program_is_told(folder, missing):
    program = install(folder)
    (folder / ("sbin" if missing == "tandemd" else "bin") / missing).unlink()
    result = selftest(folder, program=program)
    assert result.returncode == 2
    assert f"{missing} is missing" in result.stderr
    assert nothing_is_left(folder)


def test_without_faults_there_is_nothing_to_do():
    result = subprocess.run([BUILD / "tandemctl", "selftest"], text=True,
                            capture_output=True, timeout=60, check=False)
    assert result.returncode == 2
    assert "--faults" in result.stderr
