"""Two services with one name on one database: the first one notices."""

import contextlib

import pytest

from database import Cluster, Pooler
from tandem import Stack

FAST = "flash.delay_ms=1 pro.delay_ms=5 chunk_ms=0"


class Named(Stack):
    """A service whose log may be spoilt by another's."""

    def __init__(self, cluster, name, **env):
        super().__init__(web=None, database=cluster,
                         env={"INSTANCE_NAME": name, **env})
        self.expect_errors |= {"ledger_name_taken"}

    def check_ledger(self):
        """What two with one name leave is for people to look at."""


def logs_opened(stack):
    return [line["msg"].rpartition("=")[2]
            for line in stack.log.lines(event="ledger_log_opened")]


@pytest.mark.takes(240)
def test_the_first_of_two_with_one_name_says_so():
    with contextlib.ExitStack() as world:
        cluster = world.enter_context(Cluster())
        cluster.deploy()
        env = world.enter_context(Pooler(cluster)).environment()
        first = world.enter_context(Named(cluster, "same", **env))
        first.ask(sim=FAST)
        first.stop_tandemd()
        first.start_tandemd()  # no stranger to itself
        other = world.enter_context(Named(cluster, "other", **env))
        other.ask(sim=FAST)
        second = world.enter_context(Named(cluster, "same", **env))
        first.log.wait_for(60, event="ledger_name_taken")
        second.ask(sim=FAST)
        said, = first.log.lines(event="ledger_name_taken")
        assert logs_opened(second)[0] in said["msg"]
        assert "INSTANCE_NAME" in said["msg"] and " same," in said["msg"]
        assert not second.log.lines(event="ledger_name_taken")
        assert not other.log.lines(event="ledger_name_taken")
