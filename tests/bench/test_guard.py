"""The guard's arithmetic; `make bench-quick` itself is no test."""

import json
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import guard  # noqa: E402

RATE = "rate, of the floor's"
COST = "processor time, of the floor's"


@pytest.mark.parametrize("name, was, now, fails", [
    (COST, 2.0, 2.49, False),
    (COST, 2.0, 2.51, True),
    (COST, 2.0, 0.5, False),  # better by any amount
    (RATE, 0.6, 0.49, False),
    (RATE, 0.6, 0.47, True),
    (RATE, 0.6, 1.2, False),
])
def test_a_quarter_is_too_much_in_the_bad_direction_only(name, was, now,
                                                         fails):
    told = guard.compare({name: was}, {name: now})
    assert guard.has_failed(told) is fails
    assert ("TOO MUCH" in guard.table(told)) is fails


def test_both_figures_are_told():
    text = guard.table(guard.compare({RATE: 0.6}, {RATE: 0.55}))
    assert "0.600" in text and "0.550" in text and "+9 %" in text


def test_a_figure_that_one_side_lacks_is_told_and_does_not_fail():
    told = guard.compare({RATE: 0.6}, {COST: 2.0})
    assert not guard.has_failed(told)
    assert len(told) == 2
    assert guard.table(told).count(" -") == 2


def test_the_committed_baseline_has_what_the_guard_compares():
    baseline = json.loads((HERE / "baseline.json").read_text())
    assert guard.MORE_IS_BETTER <= set(baseline["ratios"])
    assert all(value > 0 for value in baseline["ratios"].values())
