"""What this machine is, what it allows, and what processes take of it."""

import os
import pathlib
import re
import resource
import statistics
import subprocess
import time

from tandem import processes, session_of

TICKS = os.sysconf("SC_CLK_TCK")
PROCESSES = 3500  # workers, those of the floor and what serves them


# ---- what has to be allowed --------------------------------------------------

def limits():
    """[(what, what is there, what is needed, what to do)]"""
    backlog = int(pathlib.Path("/proc/sys/net/core/somaxconn").read_text())
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    _, processes = resource.getrlimit(resource.RLIMIT_NPROC)
    infinite = resource.RLIM_INFINITY
    return [
        ("net.core.somaxconn", backlog, 4096,
         "sysctl -w net.core.somaxconn=4096"),
        ("open files (ulimit -Hn)", files if files != infinite else 1 << 30,
         16384, "ulimit -Hn 16384 as root, or limits.conf(5)"),
        ("processes (ulimit -Hu)",
         processes if processes != infinite else 1 << 30,
         PROCESSES, f"ulimit -Hu {PROCESSES} as root, or limits.conf(5)"),
        ("/proc/PID/schedstat", int(os.path.exists("/proc/self/schedstat")), 1,
         "a kernel with CONFIG_SCHED_INFO"),
    ]


def raise_limits():
    """As far as this account may; ends with advice when that is too little."""
    short = [f"  {what} is {there}, needed is {needed}: {advice}"
             for what, there, needed, advice in limits() if there < needed]
    if short:
        raise SystemExit("bench: this machine allows too little:\n"
                         + "\n".join(short))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


# ---- what it is --------------------------------------------------------------

def fdatasync_us(folder, count=100):
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


def describe(folder):
    model = re.search(r"^model name\s*:\s*(.*)$",
                      pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    filesystem = subprocess.run(["stat", "-f", "-c", "%T", folder], text=True,
                                capture_output=True, check=True)
    return {"cpus": len(os.sched_getaffinity(0)),
            "cpu_model": model.group(1) if model else "unknown",
            "kernel": os.uname().release,
            "load_before": os.getloadavg()[0],
            "filesystem": filesystem.stdout.strip(),
            "fdatasync_us": fdatasync_us(folder)}


# ---- processes ---------------------------------------------------------------

def cpu_of(pid, reaped=False):
    """Seconds on the processor so far; 0 for one that has gone.  Of its first
    thread, and ours have no other, because only that is told in nanoseconds:
    in ticks, a thousand workers that took two milliseconds each took none."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
        told = pathlib.Path(f"/proc/{pid}/schedstat").read_text()
    except OSError:
        return 0.0
    seconds = int(told.split()[0]) / 1e9
    if reaped:
        fields = text[text.rindex(")") + 2:].split()
        seconds += (int(fields[13]) + int(fields[14])) / TICKS
    return seconds


def cpu_of_session(pid):
    """Of what was started as pid, and of all it started."""
    return cpu_of(pid, reaped=True) + sum(
        cpu_of(other) for other in session_of(pid) if other != pid)


def cpu_of_family(pid):
    """Of a process and its living and dead children."""
    return cpu_of(pid, reaped=True) + sum(
        cpu_of(child) for child, (_, _, parent, _) in processes().items()
        if parent == pid)


def peak_kb(pid):
    """The most that a process had in memory; 0 for one that has gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB$", text, re.M)
    return int(found.group(1)) if found else 0


def memory_kb(pids):
    """Medians over the processes, and the sum; None where we may not look."""
    pss, private = [], []
    for pid in pids:
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        kb = {key: int(value) for key, value in
              re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
        if "Pss" in kb:
            pss.append(kb["Pss"])
            private.append(kb["Private_Clean"] + kb["Private_Dirty"])
    return {"processes": len(pss),
            "pss": statistics.median(pss) if pss else None,
            "private": statistics.median(private) if private else None,
            "pss_sum": sum(pss) if pss else None}
