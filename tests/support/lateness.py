"""How late the machine itself was: what a measured time may be above a promise.

    late = Lateness(pids)
    ...
    assert answer.ended_at < 0.3 + late()

Promises in time are tested with the bounds that were promised.  On a machine
that is busy with something else our processes have to wait for a processor or
the disk, which is no fault of theirs, and a virtual machine may not get its
processors.  The kernel knows for how long, and late() is that: next to nothing
on a quiet machine.
"""

import contextlib
import glob
import os


def _waited_ns(pid):
    """What the threads of a process have waited for a processor so far."""
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            with open(path, encoding="ascii") as file:
                total += int(file.read().split()[1])
    return total


def _disk_us():
    """How long anybody on this machine has waited for the disk so far."""
    with contextlib.suppress(OSError):
        with open("/proc/pressure/io", encoding="ascii") as file:
            return int(file.readline().rsplit("total=", 1)[1])
    return 0


def _stolen_s():
    """What the processors of a virtual machine have not been given so far."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = file.readline().split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")


class Lateness:
    """Since it was made or renewed.  A request passes through each of the
    processes in pids, and through one of each list in crews."""

    def __init__(self, pids, crews=()):
        self._pids = [os.getpid(), *pids]
        self._crews = list(crews)
        self.renew()

    def renew(self):
        self._disk = _disk_us()
        self._stolen = _stolen_s()
        self._waited = {pid: _waited_ns(pid)
                        for pid in sum(self._crews, self._pids)}

    def _since(self, pid):
        return max(0, _waited_ns(pid) - self._waited.get(pid, 0))

    def __call__(self):
        """In seconds."""
        cpu_ns = sum(map(self._since, self._pids))
        for crew in self._crews:
            cpu_ns += max(map(self._since, crew), default=0)
        return cpu_ns / 1e9 + (_disk_us() - self._disk) / 1e6 + \
            _stolen_s() - self._stolen
