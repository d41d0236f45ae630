"""Checkpoints, proofs and exports against somebody who has all rights, and in
the hands of somebody who has nothing of Tandem but Python and openssl."""

import base64
import contextlib
import csv
import hashlib
import io
import json
import shutil
import sqlite3
import subprocess

import pytest

from notes import DASH, Key, add_checkpoint, leaves_of
from tandem import Stack

FAST = "flash.delay_ms=1 pro.delay_ms=9 chunk_ms=0"
AWKWARD = ('=HYPERLINK("http://x","y"),\'quoted\'\r\n\\backslash\\\\ \\u0041 '
           '\t; "" ,, \u2028 \U0001f600 end\n')


class Ledger:
    """A copy for each test to spoil, and the tools that look at it."""

    def __init__(self, stack, source, folder, key):
        self.stack, self.key = stack, key
        self.folder = folder
        self.path = folder / "ledger.db"
        with contextlib.closing(sqlite3.connect(source)) as db, \
                contextlib.closing(sqlite3.connect(self.path)) as copy:
            db.backup(copy)

    def run(self, *arguments, binary=False, through=(),
            stdout=subprocess.PIPE):
        return subprocess.run(
            [*through, self.stack.build / "tandemctl", *map(str, arguments)],
            stdout=stdout, stderr=subprocess.PIPE, text=not binary,
            timeout=60, check=False,
            env={**self.stack.tandem_environment(),
                 "STATE_DIR": str(self.folder)})

    def rows(self, sql, *values):
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            return db.execute(sql, values).fetchall()

    def change(self, *statements):
        """Without the triggers, which stand again afterwards."""
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            triggers = db.execute("SELECT name, sql FROM sqlite_master "
                                  "WHERE type = 'trigger'").fetchall()
            for name, _ in triggers:
                db.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                db.execute(*statement)
            for _, text in triggers:
                db.execute(text)
            db.commit()

    def newest_log(self):
        return self.rows("SELECT log_id FROM entry ORDER BY rowid DESC "
                         "LIMIT 1")[0][0]

    def rewrite_newest_log(self, words, others):
        """Every hash mended: what somebody with all rights can do."""
        log_id = self.newest_log()
        changes = []
        for idx, body in self.rows("SELECT idx, body FROM entry "
                                   "WHERE log_id = ?", log_id):
            body = body.replace(words, others)
            leaf = hashlib.sha256(b"\0" + body.encode()).digest()
            changes.append(("UPDATE entry SET body = ?, leaf_hash = ?, "
                            "user_id = replace(user_id, 'kim', 'lee') "
                            "WHERE log_id = ? AND idx = ?",
                            (body, leaf, log_id, idx)))
        self.change(*changes)


@pytest.fixture(scope="module")
def written():
    """Two logs, of which the second is still being written."""
    with Stack(web="lighttpd") as stack:
        stack.ask("first log", sim=FAST, user="kim")
        stack.stop_tandemd()
        stack.start_tandemd()
        stack.sim.set(flash_delay_ms=1, pro_delay_ms=9, chunk_ms=0,
                      text=AWKWARD)
        for user in ("kim", "lee"):
            stack.ask("second log", user=user)
        stack.sim.reset()
        stack.key = Key(stack.ledger.path.parent / "checkpoint.key",
                        stack.folder.name)
        yield stack


@pytest.fixture
def ledger(written, tmp_path):
    return Ledger(written, written.ledger.path, tmp_path, written.key)


def keep_anchors(ledger):
    """A checkpoint of the newest log in the ledger and in a file elsewhere."""
    note = add_checkpoint(ledger.path, ledger.key, ledger.newest_log())
    anchors = ledger.folder / "anchors"
    anchors.write_text(note + "\n")
    return anchors


def verify(ledger, *arguments):
    return ledger.run("verify", "--key", ledger.key.verifier, *arguments)


def test_an_honest_ledger_agrees_with_its_checkpoints_and_anchors(ledger):
    anchors = keep_anchors(ledger)
    result = verify(ledger, "--anchor", anchors)
    assert result.returncode == 0, result
    keys = ledger.folder / "keys"
    keys.write_text(f"# one to a line\n{ledger.key.verifier}\n")
    result = ledger.run("verify", "--key", keys, "--anchor", anchors)
    assert result.returncode == 0, result


def test_without_a_key_roots_are_compared_and_signatures_are_not(ledger):
    anchors = keep_anchors(ledger)
    result = ledger.run("verify", "--anchor", anchors)
    assert result.returncode == 0, result
    assert "signatures were not checked" in result.stdout


def assert_named(result, *words):
    assert result.returncode == 1, result
    for word in words:
        assert word in result.stdout, (word, result)


def test_a_body_changed_with_its_hash_is_named_by_the_checkpoint(ledger):
    keep_anchors(ledger)
    ledger.rewrite_newest_log('"user_id":"kim"', '"user_id":"lee"')
    assert_named(verify(ledger), "finding checkpoint", ledger.newest_log())


def test_newest_entries_deleted_are_named_by_checkpoint_and_anchor(ledger):
    anchors = keep_anchors(ledger)
    log_id = ledger.newest_log()
    gone = ledger.rows("SELECT run_id FROM entry WHERE log_id = ? "
                       "ORDER BY idx DESC LIMIT 1", log_id)[0]
    ledger.change(("DELETE FROM entry WHERE run_id = ?", gone),
                  ("DELETE FROM content WHERE run_id = ?", gone))
    assert_named(verify(ledger), "finding checkpoint")
    ledger.change(("DELETE FROM checkpoint",))
    assert verify(ledger).returncode == 0
    assert_named(verify(ledger, "--anchor", anchors), "finding anchor", log_id)
    head = f"{log_id}:99:{'00' * 32}"
    assert_named(verify(ledger, "--anchor", head), "finding anchor",
                 "had 99 entries")


def test_all_rewritten_and_signed_with_another_key_is_named_by_the_anchor(
        ledger):
    anchors = keep_anchors(ledger)
    ledger.rewrite_newest_log('"user_id":"kim"', '"user_id":"lee"')
    ledger.change(("DELETE FROM checkpoint",))
    other = Key(ledger.folder / "other.key", ledger.key.name)
    add_checkpoint(ledger.path, other, ledger.newest_log())
    assert ledger.run("verify").returncode == 0  # who trusts it without a key
    assert_named(verify(ledger), "finding checkpoint", "none of the keys")
    assert_named(ledger.run("verify", "--key", other.verifier, "--key",
                            ledger.key.verifier, "--anchor", anchors),
                 "finding anchor", "not the one kept elsewhere")


def test_an_anchor_that_the_key_did_not_sign_is_no_anchor(ledger):
    anchors = keep_anchors(ledger)
    text = anchors.read_text()
    other = Key(ledger.folder / "other.key", ledger.key.name)
    anchors.write_text(other.checkpoint(ledger.newest_log(), leaves_of(
        ledger.path, ledger.newest_log())))
    assert_named(verify(ledger, "--anchor", anchors), "none of the keys")
    lines = text.split("\n")
    lines[1] = str(int(lines[1]) - 1)
    anchors.write_text("\n".join(lines))
    assert_named(verify(ledger, "--anchor", anchors), "signature is false")
    anchors.write_text("no note at all\n")
    assert_named(verify(ledger, "--anchor", anchors), "line 1")
    assert verify(ledger, "--anchor", ledger.folder / "none").returncode == 2


# ---- keys ----


def test_a_new_key_is_made_once_and_openssl_reads_it(ledger):
    path = ledger.folder / "new.key"
    made = ledger.run("key", "new", path, "--name", "log.example")
    assert made.returncode == 0, made
    assert path.stat().st_mode & 0o777 == 0o600
    assert made.stdout.strip() == Key(path, "log.example").verifier
    shown = ledger.run("key", "show", path, "--name", "log.example")
    assert shown.stdout == made.stdout
    again = ledger.run("key", "new", path)
    assert again.returncode == 2 and "already" in again.stderr
    path.chmod(0o644)
    refused = ledger.run("key", "show", path)
    assert refused.returncode == 2 and "chmod 0600" in refused.stderr
    assert ledger.run("key", "new", path, "--name", "a b").returncode == 2


# ---- proofs ----


def first_run(ledger, user="kim"):
    return ledger.rows("SELECT run_id FROM entry WHERE kind = 'accepted' AND "
                       "log_id = ? AND user_id = ?", ledger.newest_log(),
                       user)[0][0]


def check_like_a_stranger(proof, key):
    """RFC 9162, section 2.1.3.2, and the note's signature by openssl."""
    kinds = []
    for log in proof["logs"]:
        text, signatures = log["checkpoint"].split("\n\n")
        text += "\n"
        for line in signatures.splitlines():
            name, blob = line.removeprefix(DASH).split(" ")
            assert name == key.name
            assert key.sign(text).endswith(f"{DASH}{name} {blob}\n")
        origin, size, root = text.splitlines()[:3]
        assert origin == f"{key.name}/{log['log_id']}"
        for entry in log["entries"]:
            node = hashlib.sha256(b"\0" + entry["body"].encode()).digest()
            at, last = entry["index"], int(size) - 1
            for hash_hex in entry["path"]:
                other = bytes.fromhex(hash_hex)
                if at & 1 or at == last:
                    node = hashlib.sha256(b"\1" + other + node).digest()
                    while not at & 1 and at:
                        at, last = at >> 1, last >> 1
                else:
                    node = hashlib.sha256(b"\1" + node + other).digest()
                at, last = at >> 1, last >> 1
            assert last == 0 and node == base64.b64decode(root)
            kinds.append(json.loads(entry["body"])["kind"])
    return kinds


def test_a_proof_convinces_a_stranger_and_check_proof(ledger, tmp_path):
    anchors = ledger.folder / "anchors"
    log_id = ledger.newest_log()
    anchors.write_text(add_checkpoint(ledger.path, ledger.key, log_id, 2))
    add_checkpoint(ledger.path, ledger.key, log_id, at=2)
    made = ledger.run("proof", first_run(ledger), "--from", 2)
    assert made.returncode == 0, made
    proof = json.loads(made.stdout)
    assert check_like_a_stranger(proof, ledger.key) == ["accepted", "finished"]
    assert AWKWARD not in made.stdout and "second log" not in made.stdout
    path = tmp_path / "proof"
    path.write_text(made.stdout)
    shutil.move(ledger.path, tmp_path / "gone")  # it needs no ledger
    checked = ledger.run("check-proof", path, "--key", ledger.key.verifier,
                         "--anchor", anchors)
    assert checked.returncode == 0, checked
    assert checked.stdout.count("shown") == 5, checked
    assert "kept elsewhere" in checked.stdout
    other = Key(tmp_path / "other.key", ledger.key.name)
    result = ledger.run("check-proof", path, "--key", other.verifier)
    assert_named(result, "none of the keys")
    result = ledger.run("check-proof", path)
    assert result.returncode == 2 and "--key" in result.stderr


@pytest.mark.parametrize("words, others", [
    (r'\"user_id\":\"kim\"', r'\"user_id\":\"lee\"'),
    ('"index":1', '"index":2'), ('"path":["', '"path":["00'),
    ('"consistency":null', '"consistency":{"from":1,"root":"","path":[]}'),
    ('"run_id":"', '"run_id":"0')])
def test_a_proof_that_was_changed_convinces_nobody(ledger, tmp_path, words,
                                                   others):
    add_checkpoint(ledger.path, ledger.key, ledger.newest_log())
    text = ledger.run("proof", first_run(ledger)).stdout
    assert words in text
    path = tmp_path / "proof"
    path.write_text(text.replace(words, others, 1))
    assert_named(ledger.run("check-proof", path, "--key",
                            ledger.key.verifier), "refuted")


def test_no_proof_of_a_run_that_is_not_there_or_too_new(ledger):
    absent = ledger.run("proof", "01890000-0000-7000-8000-000000000000")
    assert absent.returncode == 1 and "no run" in absent.stderr
    ledger.change(("DELETE FROM checkpoint",))
    early = ledger.run("proof", first_run(ledger))
    assert early.returncode == 1 and "not yet" in early.stderr


def test_the_service_proves_runs(written):
    path = "/api/experiments/{}/proof"
    run_id = written.ask("to be proved", sim=FAST).run_id
    log_id = written.ledger.entries(run_id)[0]["log_id"]
    early = written.get(path.format(run_id))
    assert early.status == 503 and early.json()["code"] == "not_yet"
    assert "next checkpoint within 60 s" in early.json()["error"]
    assert early.headers["retry-after"] == "60"
    add_checkpoint(written.ledger.path, written.key, log_id, at=3)
    proof = written.get(path.format(run_id))
    assert proof.status == 200
    assert check_like_a_stranger(proof.json(), written.key) == \
        ["accepted", "finished"]
    for absent in ("01890000-0000-7000-8000-000000000000", "none", ""):
        answer = written.get(path.format(absent))
        assert answer.status == 404, answer
    assert written.control(path.format(run_id), method="POST").status == 405


# ---- exports ----


def exported(ledger, *arguments, form="jsonl"):
    result = ledger.run("export", "--format", form, *arguments, binary=True)
    assert result.returncode == 0, result
    return result.stdout


def test_jsonl_holds_everything_byte_for_byte_and_verifies(ledger, tmp_path):
    anchors = keep_anchors(ledger)
    text = exported(ledger).decode()
    lines = [json.loads(line) for line in text.split("\n")[:-1]]
    assert lines[0]["tandem_export"] == 1
    entries = [line for line in lines if "body" in line]
    stored = ledger.rows("SELECT body, leaf_hash FROM entry "
                         "ORDER BY log_id, idx")
    assert [(line["body"], bytes.fromhex(line["leaf_hash"]))
            for line in entries] == stored
    texts = {(json.loads(line["body"])["run_id"], part["part"]):
             (bytes.fromhex(part["salt"]), part["body"])
             for line in entries for part in line["content"]}
    assert texts == {(run_id, part): (salt, body) for run_id, part, salt, body
                     in ledger.rows("SELECT run_id, part, salt, body "
                                    "FROM content")}
    assert AWKWARD in {body for _, body in texts.values()}
    assert lines[-1]["entries"] == len(stored)
    assert lines[-1]["logs"] == lines[0]["logs"]
    path = tmp_path / "export"
    path.write_text(text, newline="")
    result = verify(ledger, "--offline", path, "--anchor", anchors)
    assert result.returncode == 0, result
    assert f"{len(stored)} entries" in result.stdout


def test_a_full_disk_is_said_to_be_one_and_the_ledger_is_not_blamed(ledger):
    with open("/dev/full", "w", encoding="ascii") as full:
        result = ledger.run("export", "--format", "jsonl", stdout=full)
        assert result.returncode == 2
        assert result.stderr == ("tandemctl: cannot write the export: "
                                 "No space left on device\n")
        if ledger.stack.is_sanitized():
            return  # stdbuf preloads a library, which ASan does not have
        path = ledger.folder / "printed.key"
        result = ledger.run("key", "new", path, stdout=full,
                            through=["stdbuf", "-o0"])
        assert result.returncode == 2
        assert result.stderr == ("tandemctl: cannot print the key: "
                                 "No space left on device\n")


@pytest.mark.parametrize("words, others, found", [
    (r'\"user_id\":\"kim\"', r'\"user_id\":\"lee\"', "leaf_hash"),
    ('"leaf_hash":"', '"leaf_hash":"00', "leaf_hash"),
    ("=HYPERLINK(", "=HYPERLONK(", "content"),
    ('"salt":"', '"salt":"x', "content"),
    ('"part":"pro"', '"part":"xyz"', "content")])
def test_a_changed_export_is_named(ledger, tmp_path, words, others, found):
    text = exported(ledger).decode()
    assert words in text
    path = tmp_path / "export"
    path.write_text(text.replace(words, others, 1), newline="")
    assert_named(ledger.run("verify", "--offline", path), f"finding {found}")


def test_an_export_with_lines_missing_is_named_or_refused(ledger, tmp_path):
    anchors = keep_anchors(ledger)
    lines = exported(ledger).splitlines(keepends=True)
    path = tmp_path / "export"
    path.write_bytes(b"".join(lines[:3] + lines[4:]))
    assert_named(ledger.run("verify", "--offline", path), "finding export",
                 "finding gap")
    # the end cut off and a new one made up
    last = json.loads(lines[-1])
    cut = [line for line in lines[:-1] if b'"checkpoint"' not in line][:-1]
    path.write_bytes(b"".join(cut) + json.dumps(
        {**last, "entries": last["entries"] - 1,
         "checkpoints": 0}).encode() + b"\n")
    assert_named(ledger.run("verify", "--offline", path, "--anchor", anchors),
                 "finding anchor")
    path.write_bytes(b"".join(lines[:-1]))
    result = ledger.run("verify", "--offline", path)
    assert result.returncode == 2 and "cut short" in result.stderr


def test_an_export_of_some_runs_verifies_and_says_what_it_is(ledger, tmp_path):
    path = tmp_path / "export"
    path.write_bytes(exported(ledger, "--user", "lee", "--status", "ok",
                              "--since", "2020-01-01"))
    lines = [json.loads(line) for line in
             path.read_bytes().decode().split("\n")[:-1]]
    assert lines[0]["asked"] == {
        "content": True, "since": "2020-01-01T00:00:00.000000Z",
        "status": "ok", "until": None, "user": "lee"}
    kinds = [json.loads(line["body"])["kind"] for line in lines
             if "body" in line]
    assert kinds == ["accepted", "finished"]
    result = ledger.run("verify", "--offline", path)
    assert result.returncode == 0, result
    assert exported(ledger, "--until", "2020-01-01").count(b'"body"') == 0


def test_an_export_without_texts_verifies(ledger, tmp_path):
    path = tmp_path / "export"
    path.write_bytes(exported(ledger, "--no-content"))
    assert b"HYPERLINK" not in path.read_bytes()
    assert ledger.run("verify", "--offline", path).returncode == 0


def test_csv_is_read_back_unchanged_and_no_cell_is_a_formula(ledger):
    raw = exported(ledger, form="csv")
    assert raw.count(b"\r\n") >= len(ledger.rows("SELECT 1 FROM entry")) + 1
    rows = list(csv.DictReader(io.StringIO(raw.decode(), newline="")))
    for row in rows:
        for cell in row.values():
            assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r")
    whole = {key: value[1:] if value.startswith("'") else value
             for row in rows if row["kind"] == "finished"
             and row["user_id"] == "lee" for key, value in row.items()}
    assert whole["pro"] == AWKWARD and whole["flash"] == AWKWARD
    assert whole["recorded_at"].endswith("Z")
    bodies = [body for body, in ledger.rows("SELECT body FROM entry "
                                            "ORDER BY log_id, idx")]
    assert [row["body"] for row in rows] == bodies


def test_export_asks_for_a_format(ledger):
    assert ledger.run("export").returncode == 2
    assert ledger.run("export", "--format", "xml").returncode == 2


# ---- characters that cannot be stored ----


def test_what_cannot_be_stored_is_exported_as_it_was_mended_and_flagged(
        ledger, written):
    run_id = written.ask("nul \x00 lone \ud800 end", sim=FAST).run_id
    assert written.ledger.content(run_id)["query"].decode().startswith(
        "nul \ufffd lone \ufffd end")
    path = ledger.folder / "export"
    path.write_text(written.tandemctl("export", "--format", "jsonl").stdout,
                    newline="")
    assert ledger.run("verify", "--offline", path).returncode == 0
    lines = [json.loads(line) for line in
             path.read_bytes().decode().split("\n")[:-1]]
    bodies = [json.loads(line["body"]) for line in lines if "body" in line]
    cleaned = {part["part"]: part["cleaned"] for body in bodies
               for part in body["content"] if body["run_id"] == run_id}
    assert cleaned["query"] is True and cleaned["pro"] is False
