"""Each clock alone: one limit is short, all others are far away.

Whatever keeps us waiting, the call ends when its clock says so, as the failure
that clock stands for, its connection is closed, and the other model goes on.
"""

import os
import subprocess
import time

import pytest

from peers import Blackhole, Mute, SilentNameserver
from tandem import Stack, wait_until

FAR = {"CONNECT_TIMEOUT_S": "30", "FLASH_FIRST_TOKEN_S": "30",
       "PRO_FIRST_TOKEN_S": "30", "IDLE_TIMEOUT_S": "30",
       "FLASH_TIMEOUT_S": "30", "PRO_TIMEOUT_S": "30",
       "RUN_DEADLINE_S": "40", "MODEL_RETRIES": "0",
       "EARLY_FLASH_TERMINATION": "false"}
LIMIT_MS = 400
ROUNDING_MS = 2  # times are told in whole milliseconds
SLACK_MS = 10000  # far from 30 s, enough for a machine that is busy
LATER = "pro.delay_ms=2000 pro.chunk_ms=0"  # than Flash is given up


def stack_with(limit, **env):
    return Stack(web=None, env={**FAR, limit: str(LIMIT_MS / 1000), **env})


def assert_ran_out(stack, answer, error_class):
    """Flash ran out of this time; Pro did not notice."""
    assert answer.names()[-1] == "done"
    assert answer.data("error")["code"] == "flash_timeout"
    assert answer.data("error")["type"] == "timeout"
    assert "final" in answer.names()
    flash = stack.ledger.end(answer.run_id)["flash"]
    assert flash["error_class"] == error_class
    assert flash["code"] == "flash_timeout"
    assert LIMIT_MS - ROUNDING_MS <= flash["latency_ms"] <= LIMIT_MS + SLACK_MS
    assert [one["error_class"] for one in flash["attempt_log"]] == \
        [error_class]
    assert stack.metric("errors_total", **{"class": error_class}) == 1
    assert stack.metric("timeouts_total", model="flash") == 1
    assert stack.ledger.end(answer.run_id)["pro"]["outcome"] == "complete"


def assert_dropped(stack):
    wait_until(lambda: stack.sim.stats()["flash"]["aborted"] == 1 and
               stack.sim.stats()["flash"]["open"] == 0, 20,
               "the call to be dropped")


@pytest.mark.parametrize("limit, error_class, fault", [
    ("FLASH_FIRST_TOKEN_S", "FirstTokenTimeout", "fault=silent"),
    ("FLASH_FIRST_TOKEN_S", "FirstTokenTimeout", "fault=comments"),
    ("FLASH_FIRST_TOKEN_S", "FirstTokenTimeout", "delay_ms=20000"),
    ("IDLE_TIMEOUT_S", "IdleTimeout", "fault=stall"),
    ("FLASH_TIMEOUT_S", "TotalTimeout", "fault=silent"),
    ("FLASH_TIMEOUT_S", "TotalTimeout", "fault=slow_headers"),
    ("FLASH_TIMEOUT_S", "TotalTimeout", "fault=stall"),
    ("FLASH_TIMEOUT_S", "TotalTimeout",
     "chunk_ms=100 flash.chunks=300 flash.text_bytes=30000"),
])
def test_a_model_that_keeps_us_waiting(limit, error_class, fault):
    with stack_with(limit) as stack:
        answer = stack.ask(sim=f"{LATER} flash.delay_ms=0 "
                           f"flash.chunk_ms=0 flash.{fault}")
        assert_ran_out(stack, answer, error_class)
        assert_dropped(stack)


def test_one_byte_a_second_for_ever_ends_with_the_total_time():
    """It is never silent, so that only the total counts."""
    with Stack(web=None, env={**FAR, "IDLE_TIMEOUT_S": "3",
                              "FLASH_TIMEOUT_S": "4"}) as stack:
        answer = stack.ask(sim="pro.delay_ms=6000 flash.delay_ms=0 "
                           "flash.fault=drip flash.drip_ms=1000")
        flash = stack.ledger.end(answer.run_id)["flash"]
        assert answer.data("error")["code"] == "flash_timeout"
        assert flash["error_class"] == "TotalTimeout"
        assert 4000 - ROUNDING_MS <= flash["latency_ms"] <= 4000 + SLACK_MS
        assert_dropped(stack)


def test_the_deadline_of_the_run_is_over_all_others():
    with Stack(web=None, env={**FAR, "RUN_DEADLINE_S": "1.5",
                              "AUDIT_SHARE_S": "0.5"}) as stack:
        late = stack.lateness()
        answer = stack.ask(sim="chunk_ms=100 chunks=300 delay_ms=0 "
                           "text_bytes=30000")
        assert answer.names() == ["error", "error", "done"]
        assert answer.data("done")["status"] == "timeout"
        assert answer.ended_at <= 1.5 + 1.0 + late()  # the promise
        end = stack.ledger.end(answer.run_id)
        assert end["total_ms"] >= 1000  # and not before the audit's share
        for role in ("flash", "pro"):
            assert end[role]["error_class"] == "TotalTimeout"
            assert end[role]["latency_ms"] <= 1500 + 1000 * late()
        wait_until(lambda: all(stack.sim.stats()[role]["aborted"] == 1
                               for role in ("flash", "pro")), 20,
                   "both calls to be dropped")


# ---- before there is a connection --------------------------------------------

def test_a_handshake_that_never_ends():
    with Blackhole() as peer, \
            stack_with("CONNECT_TIMEOUT_S",
                       FLASH_BASE_URL=peer.url()) as stack:
        assert_ran_out(stack, stack.ask(sim=LATER), "ConnectTimeout")


def test_tls_that_stalls_belongs_to_connecting():
    with Mute() as peer, \
            stack_with("CONNECT_TIMEOUT_S",
                       FLASH_BASE_URL=peer.url("https")) as stack:
        assert_ran_out(stack, stack.ask(sim=LATER), "ConnectTimeout")
        wait_until(lambda: peer.opened == peer.closed == 1, 20,
                   "the connection to be closed")
        assert peer.bytes > 0


def test_a_provider_that_accepts_and_never_answers():
    with Mute() as peer, \
            stack_with("FLASH_TIMEOUT_S",
                       FLASH_BASE_URL=peer.url()) as stack:
        assert_ran_out(stack, stack.ask(sim=LATER), "TotalTimeout")
        wait_until(lambda: peer.opened == peer.closed == 1, 20,
                   "the connection to be closed")


def own_resolver(path):
    """A command that runs another with this file as /etc/resolv.conf, where
    nobody else sees it."""
    return ["unshare", "--mount", "sh", "-c",
            f"mount --bind {path} /etc/resolv.conf && exec \"$@\"", "sh"]


def can_have_own_resolver():
    return os.geteuid() == 0 and subprocess.run(
        own_resolver("/etc/resolv.conf") + ["true"],
        check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_have_own_resolver(),
                    reason="needs root and a mount namespace")
def test_a_name_that_is_never_resolved_holds_up_nobody(tmp_path):
    resolv = tmp_path / "resolv.conf"
    with SilentNameserver() as nameserver:
        resolv.write_text(f"nameserver {nameserver.address[0]}\n"
                          "options timeout:5 attempts:1\n")
        with Stack(web=None, under=own_resolver(resolv), env={
                **FAR, "CONNECT_TIMEOUT_S": str(LIMIT_MS / 1000),
                "FLASH_BASE_URL": "http://stalled.invalid:9"}) as stack:
            late = stack.lateness()
            began = time.monotonic()
            answer = stack.ask(sim=LATER)
            assert nameserver.was_asked()
            assert_ran_out(stack, answer, "ConnectTimeout")
            # The resolver is still waiting, and nobody waits for it.
            assert answer.event("error").at < 4.5 + late()
            assert time.monotonic() - began < 4.5 + late()
