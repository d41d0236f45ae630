"""Make system calls in another process, as whoever took it over would.

    with Inside(pid) as inside:
        assert inside.open("/etc/hosts") == 0
        assert inside.open("/etc/shadow", os.O_RDWR) == errno.EACCES

The process is stopped meanwhile (ptrace), and must be waiting in a system
call: the instruction it waits in is used again with other registers.
"""

import contextlib
import ctypes
import os
import platform

from tandem import wait_until

PTRACE_SINGLESTEP, PTRACE_GETREGS, PTRACE_SETREGS = 9, 12, 13
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
LANDLOCK_CREATE_RULESET = 444
AT_FDCWD = -100
SYSCALL = b"\x0f\x05"
RED_ZONE = 128

NUMBERS = {"close": 3, "kill": 62, "rename": 82, "unlink": 87, "truncate": 76,
           "openat": 257, "ptrace": 101}

CAN = platform.machine() == "x86_64" and os.geteuid() == 0
WHY_NOT = "needs root, and registers as x86-64 has them"

_REGISTERS = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi "
              "orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs")


class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in _REGISTERS.split()]


_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p,
                         ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def landlock():
    """The kernel's version of it; 0 when it has none."""
    return max(_libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, 1), 0)


class Inside:
    def __init__(self, pid):
        self.pid = pid

    def _ptrace(self, request, data=None):
        if _libc.ptrace(request, self.pid, None, data) == -1:
            code = ctypes.get_errno()
            raise OSError(code, f"ptrace: {os.strerror(code)}")

    def _wait(self):
        _, status = os.waitpid(self.pid, 0)
        assert os.WIFSTOPPED(status), f"{self.pid} ended: {status}"

    def _memory(self, address, bytes_in=None, count=0):
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(address)
            if bytes_in is None:
                return memory.read(count)
            return memory.write(bytes_in)

    def _registers(self):
        registers = Registers()
        self._ptrace(PTRACE_GETREGS, ctypes.byref(registers))
        return registers

    def _waits_in_a_call(self):
        self._ptrace(PTRACE_ATTACH)
        self._wait()
        self.before = self._registers()
        if self._memory(self.before.rip - 2, count=2) == SYSCALL:
            return True
        self._ptrace(PTRACE_DETACH)
        return False

    def __enter__(self):
        wait_until(self._waits_in_a_call, 20, f"{self.pid} to wait")
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):  # it may have been killed
            self._ptrace(PTRACE_SETREGS, ctypes.byref(self.before))
            self._ptrace(PTRACE_DETACH)

    def call(self, name, *arguments):
        """What the kernel answers; paths are strings."""
        registers = Registers.from_buffer_copy(self.before)
        place = self.before.rsp - RED_ZONE
        values = []
        for argument in arguments:
            if isinstance(argument, (str, os.PathLike)):
                text = os.fsencode(argument) + b"\0"
                place -= len(text)
                self._memory(place, text)
                argument = place
            values.append(argument & (1 << 64) - 1)
        for register, value in zip(("rdi", "rsi", "rdx", "r10"), values):
            setattr(registers, register, value)
        registers.rax = NUMBERS[name]
        registers.orig_rax = (1 << 64) - 1  # nothing to begin again
        registers.rip = self.before.rip - 2
        self._ptrace(PTRACE_SETREGS, ctypes.byref(registers))
        self._ptrace(PTRACE_SINGLESTEP)
        self._wait()
        return ctypes.c_longlong(self._registers().rax).value

    def error(self, name, *arguments):
        """0, or the errno of a call that gives no descriptor."""
        return -min(self.call(name, *arguments), 0)

    def open(self, path, flags=os.O_RDONLY):
        """0, or the errno."""
        result = self.call("openat", AT_FDCWD, path, flags, 0o600)
        if result < 0:
            return -result
        assert self.call("close", result) == 0
        return 0

    def may_signal(self, pid):
        return self.error("kill", pid, 0) == 0
