"""Look at the embedded ledger as a stranger would: through SQLite alone."""

import contextlib
import hashlib
import json
import sqlite3


class Ledger:
    def __init__(self, path, on_lock=None):
        self.path = path
        self.on_lock = on_lock  # told before others are kept from writing

    def rows(self, sql, *values):
        """Rows of a query, as dictionaries."""
        with contextlib.closing(sqlite3.connect(
                f"file:{self.path}?mode=ro", uri=True, timeout=20)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(sql, values)]

    def value(self, sql, *values):
        rows = self.rows(sql, *values)
        assert len(rows) == 1 and len(rows[0]) == 1, rows
        return next(iter(rows[0].values()))

    def entries(self, run_id):
        """The entries of a run in the order of their writing; body parsed."""
        rows = self.rows("SELECT * FROM entry WHERE run_id = ? "
                         "ORDER BY recorded_at, idx", run_id)
        for row in rows:
            assert row["leaf_hash"] == hashlib.sha256(
                b"\0" + row["body"].encode()).digest()
            row["body"] = json.loads(row["body"])
        return rows

    def kinds(self, run_id):
        return [entry["kind"] for entry in self.entries(run_id)]

    def end(self, run_id):
        """The body of the run's second entry."""
        entries = self.entries(run_id)
        assert [entry["kind"] for entry in entries[:1]] == ["accepted"]
        ends = [entry for entry in entries
                if entry["kind"] in ("finished", "orphaned")]
        assert len(ends) == 1, [entry["kind"] for entry in entries]
        return ends[0]["body"]

    def content(self, run_id):
        """{part: bytes} of a run's personal text."""
        rows = self.rows("SELECT part, CAST(body AS BLOB) AS body "
                         "FROM content WHERE run_id = ?", run_id)
        return {row["part"]: row["body"] for row in rows}

    def changes(self):
        """What the `admin` entries tell."""
        return [json.loads(row["body"]) for row in self.rows(
            "SELECT body FROM entry WHERE kind = 'admin' ORDER BY idx")]

    def runs(self, kind):
        """Run ids that have an entry of that kind, as often as they have."""
        return [row["run_id"] for row in self.rows(
            "SELECT run_id FROM entry WHERE kind = ?", kind)]

    def unpaired(self):
        """Runs that do not have exactly one accepted and one last entry."""
        return self.rows("""
            SELECT run_id, group_concat(kind) AS kinds FROM entry
            WHERE run_id IS NOT NULL AND kind <> 'admin' GROUP BY run_id
            HAVING sum(kind = 'accepted') <> 1
                OR sum(kind IN ('finished', 'orphaned')) <> 1""")

    def gaps(self):
        """Logs whose entries are not numbered 0, 1, 2 ..."""
        return self.rows("""
            SELECT log_id, count(*) AS entries, max(idx) AS last FROM entry
            GROUP BY log_id HAVING count(*) <> max(idx) + 1 OR min(idx) <> 0
            """)

    @contextlib.contextmanager
    def locked(self):
        """While inside, nobody else can commit."""
        if self.on_lock:
            self.on_lock()
        with contextlib.closing(sqlite3.connect(
                self.path, timeout=20, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield
            finally:
                db.execute("ROLLBACK")
