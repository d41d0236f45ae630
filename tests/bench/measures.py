"""The sections of the bench: each takes a teller of progress, returns data.

What is compared is measured in turns, and a ratio is that of two measures of
the same turn: what else the machine does meanwhile strikes both.
"""

import json
import pathlib
import statistics
import subprocess
import tempfile

import history
from tandem import QUERY, wait_until
from tlsfront import TlsFront
from world import (FLOORS, PROGRAMS, World, has_strace, load_command,
                   syscalls_of)

TURNS = 3
SECONDS = 2
CALLERS = (1, 8, 32)
CROWDED = 100
SLOW = {"flash_ms": 50, "pro_ms": 200}
WAITING = (10, 100, 500, 1000)
CROWD = 2000
CROWD_SLOW = {"flash_ms": 1000, "pro_ms": 2000}
HOLD = {"flash_ms": 1000, "pro_ms": 15000}  # while memory is looked at
TRACED_S = 3
RANKS = ("p50", "p95", "p99")


# ---- many measures in one row ------------------------------------------------

def spread(values):
    return {"median": statistics.median(values), "min": min(values),
            "max": max(values)}


def at(value, *path):
    for key in path:
        value = value[key]
    return value


def median_of(results, *path):
    """Of a number that lies at path in each of them."""
    return statistics.median(at(result, *path) for result in results)


def ranks(results, key):
    return {rank: median_of(results, key, rank) for rank in RANKS}


def row(what, callers, results):
    """Medians of the turns."""
    told = {"what": what, "callers": callers, "turns": len(results),
            "per_second": spread([r["per_second"] for r in results]),
            "answers": sum(r["answers"] for r in results),
            "errors": sum(r["errors"] for r in results)}
    for key, value in results[0].items():
        if isinstance(value, dict) and "p99" in value:
            told[key] = ranks(results, key)
    if "cpu_us" in results[0]:
        told["cpu_us"] = {role: median_of(results, "cpu_us", role)
                          for role in results[0]["cpu_us"]}
        told["cpu_us_all"] = median_of(results, "cpu_us_all")
        told["load_busy"] = max(r["load_busy"] for r in results)
    for key in ("commits_per_run", "entries_per_commit", "commit_us"):
        if key in results[0]:
            told[key] = median_of(results, key)
    return told


def ratio(results, floors, *path):
    """Of each turn, of a number that lies at path."""
    return spread([at(result, *path) / at(floor, *path)
                   for result, floor in zip(results, floors)])


# ---- rates -------------------------------------------------------------------

def _rates_on(ledger, kinds, tell, turns, seconds):
    wanted = [(kind, callers) for callers in CALLERS for kind in kinds]
    wanted.append(("tandem", CROWDED))
    found = {key: [] for key in wanted}
    with World(ledger, floor=FLOORS) as world:
        world.tandem_load(32, 1)  # connections, caches
        for turn in range(turns):
            for kind, callers in wanted:
                tell(f"{ledger}: turn {turn + 1} of {turns}, {kind}, "
                     f"{callers} callers")
                found[kind, callers].append(
                    world.tandem_load(callers, seconds) if kind == "tandem"
                    else world.floor_load(kind, callers, seconds))
        for _ in range(20):  # so that each control worker has read once
            world.stack.control("/api/experiments")
        connections = world.ledger.connections(world.stack)
    rows = []
    for (kind, callers), results in found.items():
        rows.append({**row(kind, callers, results), "ledger": ledger})
        if kind == "tandem" and callers in CALLERS:
            rows[-1]["of_shape"] = ratio(results, found["shape", callers],
                                         "per_second")
    return rows, connections


def rates(tell, ledgers, turns=TURNS, seconds=SECONDS):
    """Answers a second with instant models, beside the floor."""
    data = {"rows": [], "database_connections": {}, "commits": []}
    kinds = ("file", *FLOORS, "tandem")
    for ledger in ledgers:
        data["commits"] += commits(tell, ledger)
        found, connections = _rates_on(ledger, kinds, tell, turns, seconds)
        kinds = ("shape", "tandem")  # the others know no ledger
        data["rows"] += found
        data["database_connections"][ledger] = connections
    return data


def commits(tell, ledger, seconds=2):
    """What the ledger's disk allows, one run or sixteen in a commit."""
    found = []
    with World(ledger, workers=1) as world:
        for runs in (1, 16):
            tell(f"{ledger}: bare commits of {runs}")
            done = subprocess.run(
                [PROGRAMS / "floor", "commit",
                 world.ledger.place(world.stack.folder),
                 str(seconds), str(runs)], check=True, text=True,
                stdout=subprocess.PIPE)
            found.append({"ledger": ledger, **json.loads(done.stdout)})
    return found


# ---- latency -----------------------------------------------------------------

def _latency_at(callers, world, tell, turns, seconds):
    """The floor has a process for each stream, as many as can be busy."""
    shape, tandem = [], []
    ramp_ms = SLOW["pro_ms"]
    with world.beside_floor(("shape",), callers):
        world.floor_load("shape", callers, 1, ramp_ms=ramp_ms)  # connections
        for turn in range(turns):
            tell(f"{world.ledger_kind}: turn {turn + 1} of {turns}, {callers} "
                 f"streams of {SLOW['flash_ms']}/{SLOW['pro_ms']} ms")
            shape.append(world.floor_load("shape", callers, seconds,
                                          ramp_ms=ramp_ms))
            tandem.append(world.tandem_load(callers, seconds, ramp_ms=ramp_ms))
    return [row("shape", callers, shape),
            {**row("tandem", callers, tandem),
             "of_shape": ratio(tandem, shape, "per_second"),
             "total_p99_of_shape": ratio(tandem, shape, "total_us", "p99")}]


def latency(tell, ledgers, turns=2, seconds=3):
    """How much later than their provider Tandem and the floor are, with slow
    models."""
    rows = []
    for ledger in ledgers:
        with World(ledger, workers=max(WAITING)) as world:
            world.models(**SLOW)
            world.tandem_load(max(WAITING), 1, ramp_ms=500)
            for callers in WAITING:
                rows += [{**told, "ledger": ledger} for told in
                         _latency_at(callers, world, tell, turns, seconds)]
    return {"models": SLOW, "rows": rows}


# ---- a crowd -----------------------------------------------------------------

def _hold(world, callers):
    """A load whose every stream is open; end it with wait()."""
    world.models(**HOLD)
    command = load_command(
        world.stack.address[1], QUERY, callers=callers,
        seconds=1, ramp_ms=900, post=world.body, header=world.header)
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_until(lambda: world.stack.sim.stats()["pro"]["open"] >= callers, 30,
               f"{callers} open streams")
    return running


def memory(world, callers, never_used):
    """Of workers in the middle of a run, and of the rest meanwhile."""
    running = _hold(world, callers)
    stack = world.stack
    try:
        busy = world.memory("stream")
        rest = {"control": world.memory("control"),
                "scribe": world.memory("scribe"),
                "master": world.memory("master"),
                "web server": world.memory("web server")}
    finally:
        assert running.wait(60) == 0
    wait_until(lambda: stack.sim.stats()["pro"]["open"] == 0, 10, "the end")
    return {"callers": callers, "never_used": never_used, "busy": busy,
            "idle_after_work": world.memory("stream"), **rest}


def crowd(tell, ledgers, seconds=6):
    """2,000 streams of two seconds: errors, health meanwhile, memory."""
    data = {}
    for ledger in ledgers:
        tell(f"{ledger}: starting {CROWD} workers")
        with World(ledger, workers=CROWD) as world:
            never_used = world.memory("stream")
            world.models(**CROWD_SLOW)
            tell(f"{ledger}: {CROWD} streams of {CROWD_SLOW['pro_ms']} ms")
            health = subprocess.Popen(
                load_command(world.stack.address[1], "/health", callers=4,
                             rate=50, seconds=seconds),
                stdout=subprocess.PIPE, text=True)
            streams = world.tandem_load(CROWD, seconds, may_fail=True,
                                        ramp_ms=CROWD_SLOW["pro_ms"])
            told, _ = health.communicate(timeout=90)
            tell(f"{ledger}: memory of {CROWD} busy workers")
            data[ledger] = {
                "models": CROWD_SLOW,
                "streams": row("tandem", CROWD, [streams]),
                "health": row("health", 4, [json.loads(told)]),
                "memory_kb": memory(world, CROWD, never_used)}
    return data


TLS_WORKERS = 100


def tls(tell, ledgers):
    """What a worker owns when its models are reached by TLS, as real ones."""
    with tempfile.TemporaryDirectory(prefix="td-") as folder, \
            TlsFront(pathlib.Path(folder)) as front, \
            World(ledgers[0], workers=TLS_WORKERS, env=front.env()) as world:
        front.target = world.stack.sim_address
        never_used = world.memory("stream")
        tell(f"memory of {TLS_WORKERS} busy workers")
        told = memory(world, TLS_WORKERS, never_used)
        tell("the same again, on kept connections")
        opened = front.connections
        world.models()
        world.tandem_load(TLS_WORKERS, 2)
        return {"memory_kb": told, "connections": opened,
                "connections_again": front.connections - opened,
                "resumed": front.resumed}


# ---- settings ----------------------------------------------------------------

PERSONAL = json.dumps({"query": "Write to jane.doe@example.org or call "
                       "+1 (555) 010-9999. SSN 078-05-1120. " * 6,
                       "context": {"audience": "john.roe@example.com"}})

SETTINGS = {
    "as shipped": {},
    "with auth": {"env": {"ENABLE_AUTH": "true",
                          "API_KEY": "a-key-for-the-bench-only"}},
    "models see the text as it came": {
        "env": {"REDACT_BEFORE_MODEL": "false"}},
    "much to redact": {"body": PERSONAL},
    "staged and classic events": {"env": {"SSE_DEFAULT_EVENTS": "both"}},
}


def settings(tell, ledgers, turns=TURNS, seconds=SECONDS, callers=8):
    """What auth and redaction cost: all variants run side by side."""
    ledger = ledgers[0]
    found = {name: [] for name in SETTINGS}
    worlds = {}
    try:
        for name, how in SETTINGS.items():
            worlds[name] = World(ledger, workers=16, **how).__enter__()
            worlds[name].tandem_load(callers, 1)
        for turn in range(turns):
            for name, world in worlds.items():
                tell(f"{name}, turn {turn + 1} of {turns}")
                found[name].append(world.tandem_load(callers, seconds))
    finally:
        for world in worlds.values():
            world.__exit__(None, None, None)
    shipped = found["as shipped"]
    return {"ledger": ledger, "rows": [
        {**row(name, callers, results),
         "of_shipped": ratio(results, shipped, "per_second")}
        for name, results in found.items()]}


# ---- hard callers ------------------------------------------------------------

def callers(tell, ledgers):
    """Callers who leave early or read slowly must not cost the others."""
    with World(ledgers[0], workers=200) as world:
        port = world.stack.address[1]
        world.models(**SLOW)
        alone = world.tandem_load(16, SECONDS)
        found = {"alone": row("alone", 16, [alone])}
        for name, options in (("beside 100 a second who leave after 20 ms",
                               {"callers": 32, "rate": 100,
                                "leave_after_ms": 20}),
                              ("beside 32 who read 100 bytes at a time",
                               {"callers": 32, "sip": 100})):
            tell(name)
            beside = subprocess.Popen(load_command(
                port, QUERY, seconds=SECONDS + 1,
                post=world.body, **options), stdout=subprocess.PIPE, text=True)
            found[name] = row(name, 16, [world.tandem_load(16, SECONDS)])
            told, _ = beside.communicate(timeout=90)
            found[name]["beside"] = json.loads(told)
    return {"rows": list(found.values())}


# ---- growth ------------------------------------------------------------------

SIZES = (100, 1000, 10000, 100000, 1000000)


def sizes(tell, ledgers, seconds=SECONDS):
    """How cost grows with the length of the answers."""
    rows = []
    with World(ledgers[0], workers=16) as world:
        for size in SIZES:
            tell(f"answers of {size} bytes")
            world.stack.sim.reset()
            world.stack.sim.set(flash_delay_ms=0, pro_delay_ms=0, chunk_ms=0,
                                chunks=max(1, size // 16000), text_bytes=size)
            world.tandem_load(1, 1)
            result = world.tandem_load(1, seconds)
            rows.append({**row("tandem", 1, [result]), "answer_bytes": size})
        memory_after = world.memory("stream")
    return {"rows": rows, "memory_after_kb": memory_after}


# ---- system calls ------------------------------------------------------------

def profile(tell, ledgers):
    """System calls of one run, in workers and scribe."""
    if not has_strace():
        tell("strace is not installed: left out")
        return None
    with World(ledgers[0], workers=4) as world:
        found = {"ledger": ledgers[0]}
        for name, pool in (("worker", "stream"), ("scribe", "scribe")):
            tell(f"system calls of the {name}")
            world.tandem_load(1, 1)
            running = subprocess.Popen(load_command(
                world.stack.address[1], QUERY, callers=1,
                seconds=TRACED_S + 2, post=world.body),
                stdout=subprocess.DEVNULL)
            before = world.stack.metric("requests_total")
            counts = syscalls_of(world.stack.workers(pool), TRACED_S)
            runs = world.stack.metric("requests_total") - before
            assert running.wait(60) == 0
            found[name] = {call: round(count / runs, 2) for call, count in
                           sorted(counts.items(), key=lambda item: -item[1])}
        return found


# ---- quick -------------------------------------------------------------------

def quick(tell, ledgers, turns=4, seconds=2, callers=8):
    """Ratios for the guard; see guard.py."""
    with World(ledgers[0], workers=16, floor=("shape",)) as world:
        shape, tandem = [], []
        world.tandem_load(callers, 1)
        world.floor_load("shape", callers, 1)
        idle = world.memory("stream")
        for turn in range(turns):
            tell(f"turn {turn + 1} of {turns}")
            shape.append(world.floor_load("shape", callers, seconds))
            tandem.append(world.tandem_load(callers, seconds))
        world.models(flash_ms=20, pro_ms=40)
        slow_shape, slow_tandem = [], []
        for turn in range(turns):
            tell(f"slow models, turn {turn + 1} of {turns}")
            slow_shape.append(world.floor_load("shape", callers, 1))
            slow_tandem.append(world.tandem_load(callers, 1))
        floor_kb = world.memory("floor")
    ratios = {
        "rate, of the floor's": ratio(tandem, shape, "per_second")["median"],
        "processor time, of the floor's":
            ratio(tandem, shape, "cpu_us_all")["median"],
        "final after its provider, of the floor's":
            ratio(slow_tandem, slow_shape, "final_added_us", "p50")["median"],
        "commits per run": median_of(tandem, "commits_per_run"),
    }
    if idle["private"] is not None:
        ratios["memory of a worker, of the floor's"] = \
            idle["private"] / floor_kb["private"]
    return {"ratios": {name: round(value, 3)
                       for name, value in ratios.items()},
            "rows": [row("shape", callers, shape),
                     row("tandem", callers, tandem)]}


def past(tell, ledgers, entries):
    """Listing, verification and a start over a long history."""
    return {"rows": [history.measure(tell, ledger, entries)
                     for ledger in ledgers]}

