"""`tandemctl verify` is clean after honest work and names what was changed."""

import contextlib
import hashlib
import json
import shutil
import sqlite3
import subprocess

import pytest

from tandem import Stack

FAST = "flash.delay_ms=1 pro.delay_ms=9 chunk_ms=0"


def tandemctl(stack, folder, *arguments):
    env = {**stack.tandem_environment(), "STATE_DIR": str(folder)}
    return subprocess.run([stack.build / "tandemctl", *arguments],
                          capture_output=True, text=True, timeout=30, env=env,
                          check=False)


def verify(stack, folder):
    return tandemctl(stack, folder, "verify")


class Copy:
    """A ledger of its own for each test to spoil."""

    def __init__(self, stack, source, folder):
        self.stack = stack
        self.folder = folder
        self.path = folder / "ledger.db"
        shutil.copy(source, self.path)

    def change(self, sql, *values):
        """As somebody would who owns the file: without the triggers, which
        stand again afterwards."""
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            triggers = db.execute("SELECT name, sql FROM sqlite_master "
                                  "WHERE type = 'trigger'").fetchall()
            for name, _ in triggers:
                db.execute(f"DROP TRIGGER {name}")
            changed = db.execute(sql, values).rowcount
            for _, text in triggers:
                db.execute(text)
            db.commit()
        assert changed == 1

    def row(self, sql, *values):
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            return db.execute(sql, values).fetchone()

    def verify(self):
        return verify(self.stack, self.folder)

    def tandemctl(self, *arguments):
        return tandemctl(self.stack, self.folder, *arguments)


@pytest.fixture(scope="module")
def written():
    """A ledger of two logs: the service was stopped in between."""
    with Stack(web=None) as stack:
        for i in range(3):
            stack.ask(f"first log {i}", sim=FAST, user="kim",
                      context={"i": i})
        stack.stop_tandemd()
        stack.start_tandemd()
        for i in range(3):
            stack.ask(f"second log {i}", sim=FAST)
        stack.ask("fails", sim=f"{FAST} pro.fault=cut pro.after=3")
        stack.stop_tandemd()
        yield stack


@pytest.fixture
def copy(written, tmp_path):
    return Copy(written, written.ledger.path, tmp_path)


def assert_found(copy, *names):
    result = copy.verify()
    assert result.returncode == 1, result
    for name in names:
        assert str(name) in result.stdout, (name, result)


def test_an_untouched_ledger_is_clean(copy):
    result = copy.verify()
    assert result.returncode == 0, result


ENTRY_COLUMNS = {
    "recorded_at": "recorded_at + 1",
    "kind": "'finisheD'",
    "status": "'error'",
    "salvage": "'pro_only'",
    "started_at": "started_at + 1",
    "total_ms": "total_ms + 1",
    "flash_latency_ms": "flash_latency_ms + 1",
    "pro_latency_ms": "pro_latency_ms - 1",
    "flash_model": "flash_model || 'x'",
    "pro_model": "NULL",
    "flash_input_tokens": "flash_input_tokens + 1",
    "flash_output_tokens": "NULL",
    "pro_input_tokens": "0",
    "pro_output_tokens": "pro_output_tokens * 2",
    "principal": "'somebody'",
    "user_id": "'lee'",
    "run_id": "replace(run_id, substr(run_id, -1), '~')",
    "idx": "1000",
    "leaf_hash": "CAST(substr(leaf_hash, 1, 31) || x'00' AS BLOB)",
    "body": "replace(body, 'kim', 'lee')",
}


def any_entry(copy):
    run_id, log_id, idx = copy.row(
        "SELECT run_id, log_id, idx FROM entry WHERE kind = 'finished' "
        "AND user_id = 'kim' LIMIT 1")
    return run_id, log_id, idx


@pytest.mark.parametrize("column", ENTRY_COLUMNS)
def test_a_changed_column_of_an_entry_is_found_and_the_row_named(copy,
                                                                 column):
    run_id, log_id, idx = any_entry(copy)
    value = ENTRY_COLUMNS[column]
    copy.change(f"UPDATE entry SET {column} = {value} "
                "WHERE log_id = ? AND idx = ?", log_id, idx)
    result = copy.verify()
    assert result.returncode == 1, result
    assert run_id in result.stdout or \
        (log_id in result.stdout and str(idx) in result.stdout), result


def test_every_column_of_an_entry_is_in_that_list(copy):
    with contextlib.closing(sqlite3.connect(copy.path)) as db:
        columns = {row[1] for row in db.execute("PRAGMA table_info(entry)")}
    assert columns - set(ENTRY_COLUMNS) == {"log_id"}


def test_a_body_rewritten_with_its_hash_is_found_by_the_chain_of_logs(copy):
    """Whoever recomputes the leaf hash still has the next log against him."""
    run_id, log_id, idx = any_entry(copy)
    body, = copy.row("SELECT body FROM entry WHERE log_id = ? AND idx = ?",
                     log_id, idx)
    body = body.replace('"status":"ok"', '"status":"error"')
    copy.change("UPDATE entry SET body = ?, leaf_hash = ?, status = 'error' "
                "WHERE log_id = ? AND idx = ?", body,
                hashlib.sha256(b"\0" + body.encode()).digest(), log_id, idx)
    assert_found(copy, log_id)


@pytest.mark.parametrize("column, value", [
    ("body", "body || ' '"), ("body", "replace(body, 'a', 'b')"),
    ("salt", "CAST(substr(salt, 1, 31) || x'01' AS BLOB)"),
    ("part", "'pro_partial'"),
    ("run_id", "'00000000-0000-7000-8000-000000000000'")])
def test_changed_personal_text_is_found_and_the_run_named(copy, column,
                                                          value):
    run_id, _, _ = any_entry(copy)
    copy.change(f"UPDATE content SET {column} = {value} "
                "WHERE run_id = ? AND part = 'pro'", run_id)
    assert_found(copy, run_id)


def test_a_missing_entry_in_the_middle_is_found(copy):
    _, log_id, idx = any_entry(copy)
    copy.change("DELETE FROM entry WHERE log_id = ? AND idx = ?", log_id, idx)
    assert_found(copy, log_id)


def test_a_missing_last_entry_of_an_older_log_is_found(copy):
    log_id, = copy.row("SELECT log_id FROM entry ORDER BY recorded_at "
                       "LIMIT 1")
    copy.change("DELETE FROM entry WHERE log_id = ? AND idx = "
                "(SELECT max(idx) FROM entry WHERE log_id = ?)", log_id,
                log_id)
    assert_found(copy, log_id)


def test_a_file_that_is_no_ledger_could_not_be_checked(written, tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"no database" * 1000)
    for folder in (tmp_path, tmp_path / "nowhere"):
        result = verify(written, folder)
        assert result.returncode == 2, result
        assert result.stderr


# Wipes the screen, then claims what is not so in a line of its own.
FORGED = "x\x1b[2J\x9b1A\r\n0 findings: nothing was changed.\n"


def assert_printable(text):
    assert all(c == "\n" or c.isprintable() for c in text), repr(text)
    assert not any(line.startswith("0 findings")
                   for line in text.splitlines()), text


def test_a_name_in_the_ledger_cannot_wipe_or_forge_a_finding(copy):
    with contextlib.closing(sqlite3.connect(copy.path)) as db:
        db.execute(f'CREATE TABLE "{FORGED}" (a)')
        db.commit()
    result = copy.verify()
    assert result.returncode == 1
    assert "\\u001b[2J\\u009b1A\\u000d\\u000a0 findings" in result.stdout
    assert_printable(result.stdout)


@pytest.mark.parametrize("command, columns", [
    ("runs", ["status", "salvage", "user_id"]),
    ("show", ["status", "kind"])])
def test_what_a_ledger_says_of_a_run_cannot_steer_the_terminal(copy, command,
                                                               columns):
    run_id, log_id, idx = any_entry(copy)
    for column in columns:
        copy.change(f"UPDATE entry SET {column} = ? "
                    "WHERE log_id = ? AND idx = ?", FORGED, log_id, idx)
    copy.change("UPDATE content SET part = ? WHERE run_id = ? "
                "AND part = 'pro'", FORGED, run_id)
    result = copy.tandemctl(command, *[run_id] * (command == "show"))
    assert result.returncode == 0, result
    assert "\\u001b[2J" in result.stdout
    assert_printable(result.stdout)


def test_a_finding_about_bytes_that_are_no_text_is_told_as_json(copy):
    run_id, log_id, idx = any_entry(copy)
    copy.change("UPDATE entry SET run_id = CAST(x'fffe9b' AS TEXT) "
                "WHERE log_id = ? AND idx = ?", log_id, idx)
    result = copy.tandemctl("verify", "--json")
    assert result.returncode == 1, result
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert any(line.get("run_id") == "\ufffd" * 3 for line in told), told
    assert told[-1]["findings"] > 0


def test_verifying_does_not_disturb_the_service():
    with Stack(web=None) as stack:
        streams = [stack.open(sim=FAST) for _ in range(4)]
        assert stack.tandemctl("verify").returncode == 0
        for stream in streams:
            assert stream.finish(20).names()[-1] == "done"


def test_runs_lists_and_show_shows(written):
    run_id = written.ledger.runs("finished")[0]
    listed = written.tandemctl("runs")
    assert listed.returncode == 0
    assert run_id in listed.stdout
    shown = written.tandemctl("show", run_id)
    assert shown.returncode == 0
    for word in (run_id, "accepted", "finished", "first log 0"):
        assert word in shown.stdout
    absent = written.tandemctl("show", "01890000-0000-7000-8000-000000000000")
    assert absent.returncode != 0
