"""How fast, how much later, how much memory, beside the floor of the same run.

    bench.py [section ...]      all of them without an argument
    bench.py quick              the guard: compares with the baseline
    bench.py baseline           the guard: makes this run the baseline

Load, web server, workers, models and disk share this machine, so a figure means
little by itself; docs/PERFORMANCE.md says how to read them.
"""

import json
import os
import pathlib
import signal
import sys
import tempfile
import time

import guard
import machine
import measures
import report
from world import BUILD, LEDGERS, ROOT

FOLDER = ROOT / "build/bench"
BASELINE = pathlib.Path(__file__).resolve().parent / "baseline.json"
HISTORY = int(os.environ.get("BENCH_HISTORY", "1000000"))

# Each with the seconds that it may take.
SECTIONS = {
    "rates": (measures.rates, 260),
    "latency": (measures.latency, 300),
    "crowd": (measures.crowd, 150),
    "tls": (measures.tls, 60),
    "settings": (measures.settings, 90),
    "callers": (measures.callers, 60),
    "sizes": (measures.sizes, 60),
    "profile": (measures.profile, 45),
    "past": (lambda tell, ledgers: measures.past(tell, ledgers, HISTORY), 900),
}
QUICK_S = 60


class OutOfTime(Exception):
    """A section took longer than it may."""


def on_signal(number, _frame):
    if number == signal.SIGALRM:
        raise OutOfTime
    raise SystemExit(f"bench: ended by {signal.Signals(number).name}")


class Teller:
    """Says on standard error what is going on."""

    def __init__(self, section):
        self.section = section
        self.began = time.monotonic()

    def __call__(self, text):
        print(f"[{self.seconds():5.1f} s] {self.section}: {text}",
              file=sys.stderr, flush=True)

    def seconds(self):
        return time.monotonic() - self.began


def run_section(name, measure, budget_s, ledgers):
    tell = Teller(name)
    signal.alarm(budget_s)
    try:
        return measure(tell, ledgers)
    except OutOfTime:
        raise SystemExit(f"bench: {name} took longer than {budget_s} s; "
                         "is the machine busy with something else?") from None
    finally:
        signal.alarm(0)
        tell("over")


def describe_machine():
    with tempfile.TemporaryDirectory(prefix="td-") as folder:
        return machine.describe(pathlib.Path(folder))


def chosen_ledgers():
    names = os.environ.get("BENCH_LEDGERS", "").split() or list(LEDGERS)
    unknown = set(names) - set(LEDGERS)
    if unknown:
        raise SystemExit(f"bench: no such ledger: {', '.join(unknown)}; "
                         f"there are {', '.join(LEDGERS)}")
    return names


def bench(names):
    unknown = set(names) - set(SECTIONS)
    if unknown:
        raise SystemExit(f"bench: no such section: {', '.join(unknown)}; "
                         f"there are {', '.join(SECTIONS)}")
    ledgers = chosen_ledgers()
    began = time.monotonic()
    result = {"machine": describe_machine(),
              "build": str(BUILD.relative_to(ROOT)), "sections": {}}
    for name in names:
        result["sections"][name] = run_section(name, *SECTIONS[name], ledgers)
        result["seconds"] = round(time.monotonic() - began, 1)
        write(result)  # what is measured stays, whatever happens next
    print(report.markdown(result))
    print(f"{result['seconds']} s. Figures: build/bench/result.json; "
          "page: build/bench/index.html; the tables above: "
          "build/bench/result.md")


def write(result):
    (FOLDER / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    (FOLDER / "result.md").write_text(report.markdown(result))
    (FOLDER / "index.html").write_text(report.page(result))


def measure_quickly():
    return run_section("quick", measures.quick, QUICK_S, ["sqlite"])


def quick():
    """Exit code 1 when something is too much worse."""
    ratios = measure_quickly()["ratios"]
    (FOLDER / "quick.json").write_text(json.dumps(ratios, indent=2) + "\n")
    told = guard.compare(json.loads(BASELINE.read_text())["ratios"], ratios)
    print(guard.table(told))
    return 1 if guard.has_failed(told) else 0


def baseline():
    result = {"machine": describe_machine(),
              "ratios": measure_quickly()["ratios"]}
    BASELINE.write_text(json.dumps(result, indent=2) + "\n")
    print(f"{BASELINE.relative_to(ROOT)} holds:\n"
          + json.dumps(result["ratios"], indent=2))


def main(arguments):
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    machine.raise_limits()
    if arguments == ["quick"]:
        return quick()
    if arguments == ["baseline"]:
        return baseline()
    return bench(arguments or list(SECTIONS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
