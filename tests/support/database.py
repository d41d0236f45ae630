"""A private PostgreSQL for a test, a PgBouncer before it, and the ledger in it.

    with Cluster() as cluster:
        cluster.deploy()
        with Stack(database=cluster) as stack:
            ...
            cluster.down("immediate")
            cluster.up()
"""

import contextlib
import hashlib
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import time

from ledger import Ledger

HERE = pathlib.Path(__file__).resolve().parent
START_S = 60
POOLER = "/usr/sbin/pgbouncer"


class Refused(Exception):
    """What PostgreSQL answered to a statement."""


class Cluster:
    """Started by the script that the unit tests use, too."""

    def __init__(self, connections=None):
        self.process = self.folder = None
        self.name = "ledger"
        self.env = dict(os.environ)
        if connections is not None:
            self.env["CLUSTER_CONNECTIONS"] = str(connections)

    def __enter__(self):
        self.process = subprocess.Popen(
            [HERE / "pg_cluster.sh"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, start_new_session=True,
            env=self.env)
        try:
            ready, _, self.folder = self._line().partition(" ")
            assert ready == "ready", "the cluster did not start"
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(START_S)
        finally:
            self.process.stdout.close()

    def _line(self):
        return self.process.stdout.readline().strip()

    def say(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        assert self._line() == "done", command

    def deploy(self):
        """The ledger's schema, by the scripts that DBAs run."""
        self.say(f"deploy {self.name}")

    def down(self, mode="fast"):
        self.say(f"down {mode}")

    def up(self):
        self.say("up")

    def postmaster(self):
        """Its pid, for tests that kill it."""
        path = pathlib.Path(self.folder, "data", "postmaster.pid")
        return int(path.read_text().split()[0])

    def url(self, user):
        return f"postgresql:///{self.name}?host={self.folder}&user={user}"

    def environment(self):
        """What tandemd needs to keep its ledger here."""
        return {"DATABASE_URL": self.url("scribe"),
                "DATABASE_READER_URL": self.url("auditor")}

    def psql(self, sql, user="super"):
        """What it printed; Refused with the SQLSTATE."""
        result = subprocess.run(
            ["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1",
             "-v", "VERBOSITY=sqlstate", "-d", self.url(user)], input=sql,
            capture_output=True, text=True, timeout=60, check=False)
        if result.returncode:
            raise Refused(result.stderr.strip().rpartition(" ")[2])
        return result.stdout

    def rows(self, sql, user="super"):
        """Rows of a query, as dictionaries."""
        printed = self.psql("SELECT row_to_json(found) FROM "
                            f"({sql.rstrip().rstrip(';')}) AS found;", user)
        return [json.loads(line) for line in printed.splitlines()]


class Pooler:
    """PgBouncer in transaction mode before a cluster."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.process = self.folder = None

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tb-"))
        owner = os.stat(self.cluster.folder).st_uid
        account = pwd.getpwuid(owner).pw_name
        (self.folder / "users").write_text(
            "".join(f'"{user}" ""\n' for user in ("scribe", "auditor")))
        (self.folder / "ini").write_text(
            f"[databases]\n* = host={self.cluster.folder}\n[pgbouncer]\n"
            f"unix_socket_dir = {self.folder}\nlisten_port = 6432\n"
            f"auth_type = trust\nauth_file = {self.folder}/users\n"
            "pool_mode = transaction\ndefault_pool_size = 3\n"
            + (f"user = {account}\n" if os.geteuid() == 0 else ""))
        for path in (self.folder, *self.folder.iterdir()):
            os.chown(path, owner, -1)
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [POOLER, self.folder / "ini"], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_S
        while not (self.folder / ".s.PGSQL.6432").exists():
            assert self.process.poll() is None and \
                time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(START_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self):
        return {name: url.replace(self.cluster.folder, str(self.folder)) +
                "&port=6432"
                for name, url in self.cluster.environment().items()}


class DatabaseLedger(Ledger):
    """The same questions to the ledger in PostgreSQL."""

    def __init__(self, cluster):
        super().__init__(None)
        self.cluster = cluster

    def rows(self, sql, *values):
        for value in values:
            quoted = str(value).replace("'", "''")
            sql = sql.replace("?", f"'{quoted}'", 1)
        return self.cluster.rows(sql.replace(" entry", " tandem.entry")
                                 .replace(" content", " tandem.content"))

    def entries(self, run_id):
        rows = self.rows(
            "SELECT *, encode(leaf_hash, 'hex') AS leaf_hex FROM entry "
            "WHERE run_id = ? ORDER BY recorded_at, idx", run_id)
        for row in rows:
            row["leaf_hash"] = bytes.fromhex(row.pop("leaf_hex"))
            assert row["leaf_hash"] == hashlib.sha256(
                b"\0" + row["body"].encode()).digest()
            row["body"] = json.loads(row["body"])
        return rows

    def content(self, run_id):
        return {row["part"]: row["body"].encode() for row in self.rows(
            "SELECT part, body FROM content WHERE run_id = ?", run_id)}

    def unpaired(self):
        return self.rows("""
            SELECT run_id, string_agg(kind, ',') AS kinds FROM entry
            WHERE run_id IS NOT NULL AND kind <> 'admin' GROUP BY run_id
            HAVING count(*) FILTER (WHERE kind = 'accepted') <> 1
                OR count(*) FILTER (WHERE kind IN ('finished', 'orphaned'))
                    <> 1""")

    @contextlib.contextmanager
    def locked(self, how="LOCK TABLE tandem.entry"):
        """While inside, nobody else can commit, or get what else is locked."""
        holder = subprocess.Popen(
            ["psql", "-X", "-q", "-At", "-d", self.cluster.url("super")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            holder.stdin.write(f"BEGIN; {how}; SELECT 'locked';\n")
            holder.stdin.flush()
            assert holder.stdout.readline().strip() == "locked"
            yield
        finally:
            holder.stdin.close()
            holder.wait(START_S)
            holder.stdout.close()
