"""Checkpoints made and taken apart with nothing of Tandem: hashlib and the
openssl command."""

import base64
import contextlib
import hashlib
import sqlite3
import subprocess
import tempfile

DASH = "\u2014 "


def root_of(leaves):
    """RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\1" + root_of(leaves[:split])
                          + root_of(leaves[split:])).digest()


class Key:
    """An Ed25519 key in a file, and the name that goes with it."""

    def __init__(self, path, name="log.example"):
        self.path, self.name = str(path), name
        with contextlib.suppress(FileExistsError):
            open(self.path, "x").close()
            subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519",
                            "-out", self.path], check=True)
            subprocess.run(["chmod", "0600", self.path], check=True)
        der = subprocess.run(["openssl", "pkey", "-in", self.path, "-pubout",
                              "-outform", "DER"], check=True,
                             capture_output=True).stdout
        self.typed = b"\1" + der[-32:]
        self.id = hashlib.sha256(name.encode() + b"\n"
                                 + self.typed).digest()[:4]

    @property
    def verifier(self):
        return f"{self.name}+{self.id.hex()}+" \
            + base64.b64encode(self.typed).decode()

    def sign(self, text):
        with tempfile.NamedTemporaryFile() as file:
            file.write(text.encode())
            file.flush()
            signature = subprocess.run(
                ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.path,
                 "-in", file.name], check=True, capture_output=True).stdout
        blob = base64.b64encode(self.id + signature).decode()
        return f"{text}\n{DASH}{self.name} {blob}\n"

    def checkpoint(self, log_id, leaves):
        root = base64.b64encode(root_of(leaves)).decode()
        return self.sign(f"{self.name}/{log_id}\n{len(leaves)}\n{root}\n")


def leaves_of(path, log_id, size=None):
    with contextlib.closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT leaf_hash FROM entry WHERE log_id = ? "
                          "ORDER BY idx", (log_id,)).fetchall()
    return [leaf for leaf, in rows][:size]


def add_checkpoint(path, key, log_id, size=None, at=1):
    """What a scribe would add; returns the note."""
    leaves = leaves_of(path, log_id, size)
    note = key.checkpoint(log_id, leaves)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO checkpoint (log_id, size, recorded_at, root, "
                   "note) VALUES (?, ?, ?, ?, ?)",
                   (log_id, len(leaves), at, root_of(leaves), note))
        db.commit()
    return note
