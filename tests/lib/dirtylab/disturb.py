# SPDX-License-Identifier: GPL-2.0-or-later
"""Stop and continue a process again and again, in the ways that a process
cannot keep out: each sets a signal pending in all its threads.

From Linux 6.17 on, that ends a KVM_RESET_DIRTY_RINGS under way.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import threading
import time

from .errors import LabError, Unavailable

# Stopped for so long, some 200 times a second.
STOPPED, RUNNING = 0.001, 0.004

PTRACE_ATTACH, PTRACE_DETACH = 16, 17
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000               # __WALL: threads, too

CGROUP = "/tmp/disturb-cgroup"


class Disturber:
    """A thread that calls once() until it is stopped, or the process ends."""

    def __init__(self, pid):
        self.pid = pid
        self.times = 0
        self.error = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        """May be called again, to no effect; so may stop()."""
        if not self._thread.ident:
            self._thread.start()

    def stop(self):
        """Leaves the process running."""
        self._end.set()
        if self._thread.ident:
            self._thread.join()
        if self.error:
            raise LabError(f"{type(self).__name__}: {self.error}")

    def _run(self):
        try:
            with self.ready():
                while not self._end.is_set():
                    self.once()
                    self.times += 1
        except ProcessLookupError:
            pass
        except (OSError, subprocess.SubprocessError) as e:
            self.error = e

    @contextlib.contextmanager
    def ready(self):
        yield

    def once(self):
        raise NotImplementedError


class Signals(Disturber):
    """SIGSTOP and SIGCONT."""

    @contextlib.contextmanager
    def ready(self):
        # Whatever gets this process's number next is left alone.
        self._fd = os.pidfd_open(self.pid)
        try:
            yield
        finally:
            os.close(self._fd)

    def once(self):
        signal.pidfd_send_signal(self._fd, signal.SIGSTOP)
        time.sleep(STOPPED)
        signal.pidfd_send_signal(self._fd, signal.SIGCONT)
        time.sleep(RUNNING)


class Freezer(Disturber):
    """The freezer of cgroup v2."""

    def _write(self, name, text):
        with open(f"{CGROUP}/{name}", "w", encoding="ascii") as f:
            f.write(str(text))

    @contextlib.contextmanager
    def ready(self):
        os.makedirs(CGROUP, exist_ok=True)
        subprocess.run(["mount", "-t", "cgroup2", "none", CGROUP], check=True)
        try:
            os.makedirs(f"{CGROUP}/disturbed", exist_ok=True)
            self._write("disturbed/cgroup.procs", self.pid)
            yield
            self._write("cgroup.procs", self.pid)
        finally:
            subprocess.run(["umount", CGROUP], check=True)

    def once(self):
        self._write("disturbed/cgroup.freeze", 1)
        try:
            time.sleep(STOPPED)
        finally:
            self._write("disturbed/cgroup.freeze", 0)
        time.sleep(RUNNING)


class Strace(Disturber):
    """strace -f, now and then there, now and then not."""

    def once(self):
        command = ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(self.pid)]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as tracer:
            try:
                tracer.wait(1)
            except subprocess.TimeoutExpired:
                tracer.terminate()
                tracer.wait()
            else:
                said = tracer.stderr.read()
                if os.path.exists(f"/proc/{self.pid}/exe"):
                    raise OSError(f"strace ended by itself: {said}")
                raise ProcessLookupError
        time.sleep(0.1)


class Debugger(Disturber):
    """What a debugger does: it stops each thread by itself, holds all of them
    for a moment, and lets them go.  Threads are attached to (as gdb does) or
    seized and interrupted (as newer tracers do), by turns."""

    def __init__(self, pid):
        super().__init__(pid)
        self._libc = ctypes.CDLL(None, use_errno=True)

    def _ptrace(self, request, tid):
        none = ctypes.c_void_p(0)
        if self._libc.ptrace(ctypes.c_long(request), ctypes.c_long(tid), none,
                             none) < 0:
            error = ctypes.get_errno()
            raise OSError(error, f"ptrace {request:#x}: {os.strerror(error)}")

    def _hold(self, tid):
        if self.times % 2:
            self._ptrace(PTRACE_SEIZE, tid)
            self._ptrace(PTRACE_INTERRUPT, tid)
        else:
            self._ptrace(PTRACE_ATTACH, tid)
        os.waitpid(tid, WALL)

    def once(self):
        held = []
        try:
            for name in os.listdir(f"/proc/{self.pid}/task"):
                # Threads may end at any time.
                with contextlib.suppress(ProcessLookupError):
                    self._hold(int(name))
                    held.append(int(name))
        except FileNotFoundError:
            raise ProcessLookupError from None
        finally:
            for tid in held:
                with contextlib.suppress(ProcessLookupError):
                    self._ptrace(PTRACE_DETACH, tid)
        time.sleep(RUNNING)


KINDS = {"signals": Signals, "freezer": Freezer, "strace": Strace,
         "debugger": Debugger}


def disturber(kind, pid):
    if kind == "strace" and not shutil.which("strace"):
        raise Unavailable("strace is not there: have the lab --copy it")
    if kind == "freezer" and os.environ.get("LAB_WHERE") != "nested":
        raise Unavailable("QEMU is moved to another cgroup on an emulated host "
                          "only")
    return KINDS[kind](pid)
