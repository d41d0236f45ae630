"""The service signs what its log is, again and again, in three places."""

import json

from notes import Key
from tandem import Stack, wait_until

FAST = "flash.delay_ms=1 pro.delay_ms=9 chunk_ms=0"


def test_checkpoints_are_made_kept_and_agree_with_the_ledger(tmp_path):
    kept = tmp_path / "kept.txt"
    with Stack(web=None, env={"CHECKPOINT_INTERVAL_S": "0.1",
                              "CHECKPOINT_NAME": "log.example",
                              "CHECKPOINT_FILE": str(kept)}) as stack:
        run_id = stack.ask(sim=FAST).run_id
        key = Key(stack.ledger.path.parent / "checkpoint.key", "log.example")
        made = stack.log.wait_for(20, event="checkpoint_key_made")
        assert f"verifier_key={key.verifier}" in made["msg"]
        proof = wait_until(
            lambda: (answer := stack.control(
                f"/api/experiments/{run_id}/proof")).status == 200 and answer,
            20, "a proof of the run")
        path = tmp_path / "proof"
        path.write_text(json.dumps(proof.json()))
        assert stack.tandemctl("check-proof", str(path), "--key",
                               key.verifier).returncode == 0
        stack.stop_tandemd()
        rows = stack.ledger.rows("SELECT size, note FROM checkpoint "
                                 "ORDER BY recorded_at")
        assert rows[-1]["size"] == stack.ledger.value(
            "SELECT count(*) FROM entry")  # log_closed is in the last one
        assert kept.read_text() == "".join(row["note"] + "\n" for row in rows)
        told = stack.log.lines(event="ledger_checkpoint")
        assert [line["msg"] for line in told] == \
            ["note=" + row["note"] for row in rows]
        result = stack.tandemctl("verify", "--key", key.verifier,
                                 "--anchor", str(kept))
        assert result.returncode == 0, result


def test_a_file_that_takes_no_checkpoints_does_not_stop_the_service(tmp_path):
    with Stack(web=None, env={"CHECKPOINT_FILE": str(tmp_path)}) as stack:
        stack.expect_errors.add("checkpoint_not_kept")
        assert stack.ask(sim=FAST).names()[-1] == "done"
        stack.log.wait_for(20, event="checkpoint_not_kept")
        assert stack.metric("checkpoints_total", outcome="failed") >= 1
        assert stack.ledger.rows("SELECT 1 FROM checkpoint")
