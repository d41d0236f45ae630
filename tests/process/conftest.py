"""Tests here start the whole service; tests/support has the means."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] /
                       "support"))

from fixtures import end_in_time, pytest_configure, stack  # noqa: E402, F401
