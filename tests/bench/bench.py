"""How fast, how much later, how much memory: see run.sh.

Load, web server, workers, models and disk share this machine, so a figure
means little by itself: each stands beside the floor that was measured in the
same run.  The floor is what lighttpd does with a small file; /livez is what it
does with the same FastCGI way and no query.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import time

from tandem import (BUILD, QUERY, ROOT, Process, Stack, free_port, program,
                    session_of, wait_until)

LIMIT_S = 90
LOAD = ROOT / "build/bench/load"
RESULT = ROOT / "build/bench/result.json"

CALLERS = (1, 8, 32)
CROWD = 100
BUSY = 16  # workers caught in the middle of a run for their memory
FLOOR_S = 2
STREAM_S = 5
CROWD_S = 6
SLOW_FLASH_MS = 50
SLOW_PRO_MS = 200

# Flash is never cancelled, or which calls a stream costs would be chance.
SETTINGS = {"STREAM_WORKERS_MIN": "112", "STREAM_WORKERS_MAX": "128",
            "EARLY_FLASH_TERMINATION": "false"}
BODY = json.dumps({"query": "Why is the sky blue? " * 20,
                   "context": {"audience": "a curious child"}})

TICKS = os.sysconf("SC_CLK_TCK")


# ---- the machine -------------------------------------------------------------

def fdatasync_us(folder, count=300):
    """What this disk takes to make 4 KB durable."""
    took = []
    path = folder / "fdatasync.probe"
    with open(path, "wb", buffering=0) as file:
        for _ in range(count):
            file.write(b"\0" * 4096)
            began = time.perf_counter_ns()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter_ns() - began) / 1000)
    path.unlink()
    took.sort()
    return {"p50": round(took[count // 2]),
            "p99": round(took[count * 99 // 100])}


def filesystem_of(folder):
    return subprocess.run(["stat", "-f", "-c", "%T", folder], text=True,
                          capture_output=True, check=True).stdout.strip()


def machine(folder):
    model = re.search(r"^model name\s*:\s*(.*)$",
                      pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return {"cpus": len(os.sched_getaffinity(0)),
            "cpu_model": model.group(1) if model else "unknown",
            "kernel": os.uname().release,
            "load_before": os.getloadavg()[0],
            "filesystem": filesystem_of(folder),
            "fdatasync_us": fdatasync_us(folder)}


def ledger_settings(stack):
    """The journal's mode as the file says; what a connection chooses for
    itself, as the source says."""
    source = (ROOT / "lib/client/lite.c").read_text()
    found = re.search(r"PRAGMA synchronous = (\w+)", source)
    return {"kind": "embedded SQLite",
            "journal_mode": stack.ledger.value("PRAGMA journal_mode"),
            "synchronous": found.group(1) if found else "unknown"}


# ---- processes ---------------------------------------------------------------

def cpu_of(pid, reaped=False):
    """Seconds on the processor so far; 0 for one that has gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    fields = text[text.rindex(")") + 2:].split()
    ticks = int(fields[11]) + int(fields[12])
    if reaped:
        ticks += int(fields[13]) + int(fields[14])
    return ticks / TICKS


def cpu_by_role(stack):
    """A worker that has served its quota is counted with the master."""
    pools = {pool: set(stack.workers(pool))
             for pool in ("stream", "control", "scribe")}
    seconds = {pool: sum(map(cpu_of, pids)) for pool, pids in pools.items()}
    seconds["master"] = cpu_of(stack.tandemd.pid, reaped=True)
    seconds["lighttpd"] = sum(map(cpu_of, session_of(stack.server.pid)))
    seconds["modelsim"] = cpu_of(stack.modelsim.pid)
    return seconds


def memory_kb(pids):
    """Medians over the processes; None where we may not look."""
    kinds = {"pss": [], "private": []}
    for pid in pids:
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        kb = {key: int(value) for key, value in
              re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
        kinds["pss"].append(kb["Pss"])
        kinds["private"].append(kb["Private_Clean"] + kb["Private_Dirty"])
    return {"processes": len(kinds["pss"]),
            **{kind: statistics.median(values) if values else None
               for kind, values in kinds.items()}}


# ---- load --------------------------------------------------------------------

def load_command(port, path, callers, seconds, body=None):
    command = [LOAD, port, path, callers, seconds]
    return [str(part) for part in command + ([body] if body else [])]


def load(*arguments):
    done = subprocess.run(load_command(*arguments), text=True, check=True,
                          stdout=subprocess.PIPE)
    result = json.loads(done.stdout)
    assert result["errors"] == 0, result
    return result


def commits(stack):
    """(entries that became durable, commits, seconds in them)"""
    return (stack.metric("audit_writes_total"),
            stack.metric("audit_write_duration_seconds_count"),
            stack.metric("audit_write_duration_seconds_sum"))


def load_streams(stack, callers, seconds):
    """One load with what it cost: CPU by role, commits."""
    cpu_before, written_before = cpu_by_role(stack), commits(stack)
    result = load(stack.address[1], QUERY, callers, seconds, BODY)
    cpu_after, written_after = cpu_by_role(stack), commits(stack)
    entries, count, took = (after - before for before, after in
                            zip(written_before, written_after))
    result["cpu_seconds_per_1000"] = {
        role: round((cpu_after[role] - before) / result["answers"] * 1000, 3)
        for role, before in cpu_before.items()}
    result["entries_per_commit"] = round(entries / count, 2)
    result["commit_ms_mean"] = round(took / count * 1000, 3)
    return result


@contextlib.contextmanager
def static_server(stack):
    """lighttpd with a small file and nothing else; yields its port."""
    folder = stack.folder / "static"
    folder.mkdir()
    (folder / "hello.txt").write_text("A small file to set the floor.\n")
    port = free_port()
    config = folder / "lighttpd.conf"
    config.write_text(
        'server.bind = "127.0.0.1"\n'
        f"server.port = {port}\n"
        f'server.document-root = "{folder}"\n'
        "server.max-connections = 4000\nserver.max-fds = 16384\n")
    server = Process("static", [program("lighttpd"), "-D", "-f", config],
                     folder / "log")
    try:
        server.ready(lambda: subprocess.run(
            load_command(port, "/hello.txt", 1, 1), check=False,
            capture_output=True).returncode == 0)
        yield port
        server.send(signal.SIGTERM)
        server.wait(10)
    finally:
        server.kill_all()


# ---- what is measured --------------------------------------------------------

def floors(stack):
    with static_server(stack) as port:
        static = {callers: load(port, "/hello.txt", callers, FLOOR_S)
                  for callers in CALLERS}
    livez = {callers: load(stack.address[1], "/livez", callers, FLOOR_S)
             for callers in CALLERS}
    return static, livez


def instant_streams(stack):
    stack.sim.set(flash_delay_ms=0, pro_delay_ms=0, chunk_ms=0)
    load(stack.address[1], QUERY, 32, 1, BODY)  # connections, caches
    return {callers: load_streams(stack, callers, STREAM_S)
            for callers in CALLERS}


def crowd(stack):
    """How much later than the slower model a stream is over."""
    stack.sim.set(flash_delay_ms=SLOW_FLASH_MS, pro_delay_ms=SLOW_PRO_MS)
    result = load_streams(stack, CROWD, CROWD_S)
    result["added_ms"] = {
        rank: round(us / 1000 - SLOW_PRO_MS, 2)
        for rank, us in result["total_us"].items()}
    return result


def busy_pids(stack):
    """Workers that have a run open now, as the ledger says."""
    rows = stack.ledger.rows("""
        SELECT json_extract(body, '$.worker_pid') AS pid FROM entry
        WHERE kind = 'accepted' AND run_id NOT IN (
            SELECT run_id FROM entry WHERE kind IN ('finished', 'orphaned'))
        """)
    return [row["pid"] for row in rows]


def memory(stack, never_used):
    stack.sim.set(flash_delay_ms=SLOW_FLASH_MS, pro_delay_ms=3000)
    command = load_command(stack.address[1], QUERY, BUSY, 1, BODY)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        pids = wait_until(
            lambda: (found := busy_pids(stack)) and len(found) == BUSY
            and found, 3, "busy workers")
        busy = memory_kb(pids)
        assert running.wait(15) == 0
    return {"stream_never_used": never_used,
            "stream_busy": busy,
            "stream_idle_after_work": memory_kb(pids),
            "scribe": memory_kb(stack.workers("scribe")),
            "master": memory_kb([stack.tandemd.pid]),
            "lighttpd": memory_kb(session_of(stack.server.pid))}


def measure():
    with Stack(env=SETTINGS) as stack:
        wait_until(lambda: len(stack.workers("stream")) >=
                   int(SETTINGS["STREAM_WORKERS_MIN"]), 10, "all workers")
        result = {"machine": machine(stack.folder),
                  "build": str(BUILD), "settings": SETTINGS,
                  "ledger": ledger_settings(stack)}
        never_used = memory_kb(stack.workers("stream"))
        result["static"], result["livez"] = floors(stack)
        result["instant"] = instant_streams(stack)
        result["crowd"] = crowd(stack)
        result["memory_kb"] = memory(stack, never_used)
        return result  # leaving verifies the ledger


# ---- telling -----------------------------------------------------------------

def ms(us):
    return f"{us / 1000:.2f}"


def tell_rate(name, row, floor=None):
    ratio = f"1/{floor['per_second'] / row['per_second']:.1f}" if floor else ""
    total = row["total_us"]
    receipt = row.get("final_to_done_us")
    print(f"{name:<26}{row['callers']:>8}{row['per_second']:>11.0f}"
          f"{ratio:>9}{ms(total['p50']):>9}{ms(total['p95']):>9}"
          f"{ms(total['p99']):>9}" + (
              f"   {ms(receipt['p50']):>7}{ms(receipt['p95']):>8}"
              f"{ms(receipt['p99']):>8}" if receipt else ""))


def tell_rates(result):
    print(f"\n{'':<26}{'callers':>8}{'/s':>11}{'of floor':>9}"
          f"{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}"
          f"   {'final -> done: p50, p95, p99 ms'}")
    for callers in CALLERS:
        tell_rate("floor: lighttpd, a file", result["static"][callers])
    for name, key in (("lighttpd + /livez", "livez"),
                      ("streams, instant models", "instant")):
        for callers in CALLERS:
            tell_rate(name, result[key][callers], result["static"][callers])
    tell_rate(f"streams, {SLOW_FLASH_MS}/{SLOW_PRO_MS} ms models",
              result["crowd"])


def tell_costs(result):
    added = result["crowd"]["added_ms"]
    print(f"\nAdded to the slower model's {SLOW_PRO_MS} ms at {CROWD} callers: "
          f"p50 {added['p50']} ms, p95 {added['p95']} ms, "
          f"p99 {added['p99']} ms")
    for callers in CALLERS:
        row = result["instant"][callers]
        cpu = dict(row["cpu_seconds_per_1000"])
        simulated = cpu.pop("modelsim")
        parts = ", ".join(f"{role} {value:.2f}" for role, value in cpu.items()
                          if value >= 0.005)
        print(f"CPU seconds per 1,000 streams, {callers:>2} callers: "
              f"{sum(cpu.values()):.2f} ({parts}; besides modelsim "
              f"{simulated:.2f}); {row['entries_per_commit']} entries per "
              f"commit, {row['commit_ms_mean']} ms each")
    for name, row in result["memory_kb"].items():
        if row["pss"] is None:
            print(f"Memory, {name.replace('_', ' ')}: not readable, run as "
                  "root")
        else:
            print(f"Memory, {name.replace('_', ' ')}: PSS {row['pss']:.0f} "
                  f"kB, private {row['private']:.0f} kB "
                  f"({row['processes']} processes)")


def tell(result):
    where, ledger = result["machine"], result["ledger"]
    print(f"{where['cpus']} CPUs ({where['cpu_model']}), kernel "
          f"{where['kernel']}, load {where['load_before']:.1f} before; "
          f"{result['build']}")
    print(f"Ledger: {ledger['kind']}, journal_mode={ledger['journal_mode']}, "
          f"synchronous={ledger['synchronous']}, on {where['filesystem']}; "
          f"fdatasync of 4 KB there: p50 {where['fdatasync_us']['p50']} us, "
          f"p99 {where['fdatasync_us']['p99']} us")
    print("Settings: " + " ".join(f"{key}={value}" for key, value in
                                  result["settings"].items()))
    tell_rates(result)
    tell_costs(result)


def end_early(number, _frame):
    raise SystemExit(f"bench: ended by {signal.Signals(number).name}"
                     + (f" after {LIMIT_S} s" if number == signal.SIGALRM
                        else ""))


def main():
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_early)
    signal.alarm(LIMIT_S)
    began = time.monotonic()
    result = measure()
    result["took_seconds"] = round(time.monotonic() - began, 1)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    tell(result)
    print(f"\nThe ledger verifies. {result['took_seconds']} s; all figures: "
          f"{RESULT.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
