"""Stopping loses nothing; reloading cuts nothing."""

import os
import signal
import socket
import time

import pytest

from tandem import Process, Stack, drain, wait_until

TWENTY = "flash.delay_ms=100 pro.delay_ms=1500 chunk_ms=0"
FAST = "flash.delay_ms=10 pro.delay_ms=30 chunk_ms=0"
ENV = {"STREAM_WORKERS_MIN": "20", "STREAM_WORKERS_MAX": "40"}


def open_twenty(stack):
    streams = [stack.open(sim=TWENTY) for _ in range(20)]
    assert drain(streams, 20,
                 lambda one: "preliminary" in one.names()) == []
    return streams


def test_sigterm_lets_twenty_streams_end():
    with Stack(env=ENV) as stack:
        late = stack.lateness()
        streams = open_twenty(stack)
        stack.tandemd.send(signal.SIGTERM)
        assert drain(streams, 20) == []
        assert [one.names() for one in streams] == \
            [["preliminary", "final", "done"]] * 20
        assert all(one.ended_at < 3 + late() for one in streams)
        assert stack.tandemd.wait(20) == 0
        kinds = [row["kind"] for row in stack.ledger.rows(
            "SELECT kind FROM entry ORDER BY idx")]
        assert kinds[0] == "log_opened" and kinds[-1] == "log_closed"


def test_nobody_is_let_in_while_it_stops():
    with Stack(web=None, env=ENV) as stack:
        stream = stack.open(sim="flash.delay_ms=100 pro.delay_ms=5000")
        stream.until("preliminary", 20)
        stack.tandemd.send(signal.SIGTERM)

        def is_refused():
            try:
                stack.open(sim=FAST).close()
            except (ConnectionRefusedError, FileNotFoundError):
                return True
        wait_until(is_refused, 20, "new callers to be refused")
        assert stack.tandemd.is_running(), "the first one is still served"
        assert stream.finish(20).names()[-1] == "done"


def test_a_second_sigterm_cuts_runs_short_but_each_has_its_record():
    with Stack(env=ENV) as stack:
        streams = [stack.open(sim="flash.delay_ms=50 pro.delay_ms=20000 "
                                  "chunk_ms=0") for _ in range(5)]
        assert drain(streams, 20,
                     lambda one: "preliminary" in one.names()) == []
        stack.tandemd.send(signal.SIGTERM)
        stack.log.wait_for(20, event="drain_started")
        assert not any(one.ended_at for one in streams)
        stack.tandemd.send(signal.SIGTERM)
        assert drain(streams, 20) == []
        for one in streams:
            assert one.names()[-1] == "done"
            assert one.data("done")["status"] == "cancelled"
            end = stack.ledger.end(one.run_id)
            assert end["pro"]["cancelled"] == "shutdown"
        assert stack.tandemd.wait(20) == 0


def test_a_scribe_born_while_it_stops_logs_and_hears():
    """Its log has the number that the stream socket had."""
    with Stack(web=None, start=False) as stack:
        stack.env["LOG_FILE"] = str(stack.folder / "tandemd.log")
        stack.expect_errors |= {"child_died"}
        stack.expect_exit = 1  # somebody was killed
        stack.start()
        stream = stack.open(sim="flash.delay_ms=50 pro.delay_ms=3000")
        stream.until("preliminary", 5)
        stack.tandemd.send(signal.SIGTERM)
        stack.log.wait_for(5, event="drain_started")
        stack.tandemd.send(signal.SIGUSR1)
        stack.log.wait_for(5, event="logs_reopened")
        scribe, = stack.workers("scribe")
        os.kill(scribe, signal.SIGKILL)
        fresh, = wait_until(lambda: set(stack.workers("scribe")) - {scribe}, 5,
                            "a new scribe")
        stack.log.wait_for(5, event="ledger_log_opened", pid=fresh)
        assert stream.finish(10).names()[-1] == "done"
        stack.stop_tandemd()


def test_draining_is_limited_by_drain_s():
    with Stack(web=None, env={"DRAIN_S": "0.5"}) as stack:
        stream = stack.open(sim="flash.delay_ms=50 pro.delay_ms=20000")
        stream.until("preliminary", 20)
        stack.tandemd.send(signal.SIGTERM)
        stream.finish(20)
        assert stream.data("done")["status"] == "cancelled"
        assert stack.tandemd.wait(20) == 0


def test_a_stop_leaves_no_socket_behind():
    with Stack(web=None) as stack:
        stack.ask(sim=FAST)
        stack.stop_tandemd()
        assert list(stack.folder.glob("*.sock")) == []


def test_sighup_cuts_none_of_twenty_streams_and_the_new_file_is_in_force():
    with Stack(env=ENV, config={"GEMINI_FLASH_MODEL": "gemini-before"}
               ) as stack:
        streams = open_twenty(stack)
        old = set(stack.workers("stream"))
        stack.write_config(GEMINI_FLASH_MODEL="gemini-after")
        stack.tandemd.send(signal.SIGHUP)
        stack.log.wait_for(20, event="reload_started")
        # Also while it changes over nobody is turned away.
        during = [stack.open(sim=FAST) for _ in range(10)]
        assert drain(streams + during, 20) == []
        assert [one.names() for one in streams] == \
            [["preliminary", "final", "done"]] * 20
        assert [one.names()[-1] for one in during] == ["done"] * 10
        stack.log.wait_for(20, event="reload_finished")
        answer = stack.ask(sim=FAST)
        assert answer.data("preliminary")["response"]["model"] == \
            "gemini-after"
        wait_until(lambda: not old & set(stack.workers("stream")), 20,
                   "the old generation to be gone")
        assert stack.tandemd.is_running()


@pytest.mark.parametrize("line, reason", [
    ("FLASH_TIMEOUT_S=0", "FLASH_TIMEOUT_S"),
    ("FLASH_TIMOUT_S=5", "FLASH_TIMEOUT_S"),
    ("nonsense", "KEY=value"),
])
def test_a_broken_new_file_changes_nothing_and_says_where(line, reason):
    with Stack(web=None, config={"LOG_LEVEL": "INFO"}) as stack:
        stack.expect_errors |= {"reload_refused"}
        stack.ask(sim=FAST)
        before = stack.workers("stream")
        stack.config_path.write_text(f"# a comment\n\n{line}\n")
        stack.tandemd.send(signal.SIGHUP)
        said = stack.log.wait_for(20, event="reload_refused")
        assert f"{stack.config_path}:3: " in said["msg"]
        assert reason in said["msg"]
        assert stack.ask(sim=FAST).names()[-1] == "done"
        assert set(before) <= set(stack.workers("stream"))


@pytest.mark.parametrize("option, before, after", [
    ("STREAM_WORKERS_MAX", "8", "9"),
    ("CONFINE_WORKERS", "true", "false"),
])
def test_a_reload_that_would_need_a_restart_is_refused_by_name(
        option, before, after):
    with Stack(web=None, config={option: before}) as stack:
        stack.expect_errors |= {"reload_refused"}
        stack.write_config(**{option: after})
        stack.tandemd.send(signal.SIGHUP)
        said = stack.log.wait_for(20, event="reload_refused")
        assert option in said["msg"]
        assert stack.ask(sim=FAST).names()[-1] == "done"


def test_a_reload_warns_of_what_is_hardly_meant():
    with Stack(web=None, config={"SOCKET_USERS": "root"}) as stack:
        assert stack.log.lines(event="odd_users") == []
        stack.write_config(SOCKET_USERS="root,no-such-user")
        stack.tandemd.send(signal.SIGHUP)
        said = stack.log.wait_for(5, event="odd_users")
        assert "SOCKET_USERS names no-such-user," in said["msg"]
        stack.log.wait_for(20, event="reload_finished")


def test_two_masters_do_not_take_each_others_sockets():
    with Stack(web=None) as stack:
        other = stack.folder / "other"
        assert_refused(stack, "stream.sock", STATE_DIR=str(other))
        assert stack.ask(sim=FAST).names()[-1] == "done"


def test_two_masters_do_not_share_a_folder_and_the_second_says_so_at_once():
    with Stack(web=None) as stack:
        late = stack.lateness()
        began = time.monotonic()
        said = assert_refused(stack, "STATE_DIR", **{
            f"{name}_SOCKET": str(stack.folder / f"other-{name}.sock")
            for name in ("STREAM", "CONTROL", "SCRIBE")})
        # A scribe would wait for 6 s.
        assert time.monotonic() - began < 5 + late()
        assert str(stack.folder / "state") in said
        assert f"pid {stack.tandemd.pid}" in said
        assert list(stack.folder.glob("other-*")) == []
        assert stack.ask(sim=FAST).names()[-1] == "done"


def assert_refused(stack, why, **env):
    """A second service beside the stack's does not start, and says why."""
    second = Process("second", [stack.build / "tandemd"],
                     stack.folder / "second.log",
                     {**stack.tandem_environment(), **env})
    try:
        assert second.wait(20) == 78
        assert why in second.text()
        return second.text()
    finally:
        second.kill_all()


def test_it_takes_sockets_from_systemd():
    with Stack(web=None, start=False) as stack:
        stack.start_modelsim()
        listeners = []
        for name in ("stream", "control"):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(stack.folder / f"{name}.sock"))
            listener.listen(64)
            listeners.append(listener)
        stack.start_tandemd(listeners=listeners)
        assert stack.ask(sim=FAST).names()[-1] == "done"
        stack.stop_tandemd()
        for name in ("stream", "control"):
            assert (stack.folder / f"{name}.sock").exists(), \
                "what systemd made is systemd's to remove"


def test_a_service_that_drains_is_alive_but_not_ready():
    with Stack(web=None) as stack:
        stream = stack.open(sim="delay_ms=4000 chunk_ms=0").until_headers(20)
        assert stack.control("/readyz").status == 200
        stack.tandemd.send(signal.SIGTERM)
        wait_until(lambda: stack.control("/readyz").status == 503, 20)
        assert stack.control("/readyz").json()["failed"] == ["draining"]
        assert stack.control("/livez").status == 200
        assert stream.finish(20).names()[-1] == "done"
