"""The outage drill of tests/drill, in a short form."""

import argparse
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "drill"))

import outage  # noqa: E402
from database import Cluster  # noqa: E402

# Slow enough that the database is missed while it is away.
SHORT = argparse.Namespace(runs=240, at_once=60, away=4, rate=60)


@pytest.fixture(scope="module")
def cluster():
    with Cluster() as cluster:
        cluster.deploy()
        yield cluster


@pytest.mark.takes(300)
@pytest.mark.parametrize("variant", outage.VARIANTS)
def test_nothing_is_lost_or_doubled(variant, cluster):
    verdict = outage.drill(variant, SHORT, cluster)
    print(verdict)
    assert not verdict.faults, verdict.faults
