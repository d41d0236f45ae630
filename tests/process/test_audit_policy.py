"""What happens to queries when the database cannot be used."""

import json
import time

import pytest

from database import Cluster
from tandem import Stack, wait_until

FAST = "flash.delay_ms=1 pro.delay_ms=5 chunk_ms=0"
AWAY = {"ledger_write_failed", "ledger_store_away", "audit_unavailable"}


@pytest.mark.takes(240)
def test_closed_refuses_instead_of_spooling():
    with Stack(web=None, env={"AUDIT_POLICY": "closed"}) as stack:
        stack.expect_errors |= AWAY
        before = stack.ask(sim=FAST).data("done")
        assert before["audit"]["state"] == "committed"
        with stack.ledger.locked():
            first = stack.open(sim=FAST).finish(30)
            assert first.status == 503 and first.headers["retry-after"]
            wait_until(lambda: stack.metric("ledger_failing") == 1, 20,
                       "the ledger to be given up for now")
            calls = len(stack.sim.requests())
            began = time.monotonic()
            refused = stack.open(sim=FAST).finish(20)
            took_s = time.monotonic() - began
            assert refused.status == 503
            assert json.loads(refused.body)["code"] == "audit_unavailable"
            assert took_s < 2, "it is refused at once, not after attempts"
            assert len(stack.sim.requests()) == calls, "nobody paid for it"
            assert stack.control("/readyz").status == 503
            spool = stack.folder / "state" / "spool" / "new"
            assert not list(spool.iterdir())
        assert stack.tandemctl("spool", "drain").returncode == 0  # try now
        wait_until(lambda: stack.control("/readyz").status == 200, 90,
                   "the ledger to be back")
        after = stack.ask(sim=FAST).data("done")
        assert after["audit"]["state"] == "committed"
        wait_until(lambda: not stack.ledger.unpaired(), 20,
                   "an end for what was written late")


@pytest.mark.takes(240)
def test_a_schema_that_does_not_fit_is_told_and_spooled_for():
    with Cluster() as cluster:
        cluster.deploy()
        with Stack(database=cluster, web=None) as stack:
            stack.expect_errors |= AWAY | {"ledger_schema_unfit"}
            stack.ask(sim=FAST)
            cluster.psql("INSERT INTO tandem.schema_version "
                         "(version, step, file_sha256) "
                         f"VALUES (1000, 'x', '{'0' * 64}');")
            answer = wait_until(
                lambda: (got := stack.control("/readyz")).status == 503 and
                got, 30, "readiness to know")
            told = json.loads(answer.body)
            assert "schema" in told["failed"]
            assert told["schema"]["found"] == 1000
            assert 0 < told["schema"]["min"] <= told["schema"]["max"] < 1000
            assert stack.control("/livez").status == 200
            done = stack.ask(sim=FAST).data("done")
            assert done["audit"]["state"] == "spooled"
            cluster.psql("DELETE FROM tandem.schema_version "
                         "WHERE version = 1000;")
            wait_until(lambda: stack.control("/readyz").status == 200, 30,
                       "readiness to come back")
            wait_until(lambda: len(stack.ledger.kinds(done["run_id"])) == 2,
                       30, "the spool to be drained")
            assert stack.ask(sim=FAST).data("done")["audit"]["state"] == \
                "committed"
