# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of the guest from outside: its load lines and its shell.

The guest's load generator prints a line per 100 ms on its console
(migration_report.load), and complains with "dirtyload CORRUPT ..." when a page
does not hold what it wrote there last.  The second serial port is a shell for the drivers.
"""

import re
import socket
import time

from migration_report import load

from . import patience
from .errors import LabError, Timeout

CORRUPT = re.compile(rb"dirtyload CORRUPT[^\r\n]*")
PANIC = re.compile(rb"Kernel panic[^\r\n]*|general protection fault[^\r\n]*"
                   rb"|BUG: [^\r\n]*|Oops: [^\r\n]*")


class Console(load.Follower):
    """Follows the file that QEMU writes the guest's console to."""

    def __init__(self, path):
        super().__init__(path)
        self.samples = []
        self.corrupt = []
        self.panics = []

    def poll(self):
        """Read what is new; returns the newest sample or None."""
        lines = self.lines()
        now = time.monotonic()
        for line in lines:
            found = load.sample(line, now)
            if found:
                self.samples.append(found)
                continue
            for regex, kept in ((CORRUPT, self.corrupt),
                                (PANIC, self.panics)):
                found = regex.search(line)
                if found:
                    kept.append(found[0].decode(errors="replace"))
        return self.samples[-1] if self.samples else None


def tail(path, lines=12):
    """The last lines of a file, "" if it is not there."""
    try:
        with open(path, errors="replace") as f:
            return "".join(f.readlines()[-lines:])
    except FileNotFoundError:
        return ""


def rate(samples, since=None, until=None):
    """Mean writes per second of the samples seen in a span, or None.

    Taken from the guest's own clock and counter, so that a late look at the
    console does not change it.
    """
    chosen = [s for s in samples
              if (since is None or s.seen >= since)
              and (until is None or s.seen <= until)]
    if len(chosen) < 2 or chosen[-1].t <= chosen[0].t:
        return None
    return (chosen[-1].total - chosen[0].total) / (chosen[-1].t - chosen[0].t)


def background(command, pid=""):
    """A command line that starts a command, and writes its number to a file.

    It is no child of the guest's shell: busybox's may take half a line for a
    whole one when a child ends or stops while it reads.
    """
    kept = f" echo $! >{pid}" if pid else ""
    return f"({command} &{kept})"


class Shell:
    """The guest's second serial port: one command, its output, its status."""

    def __init__(self, path, alive):
        self._alive = alive
        self._pending = b""
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.settimeout(5)
        self._sock.connect(path)
        self._count = 0

    def _read_until(self, mark, timeout):
        timeout = patience.seconds(timeout)
        end = time.monotonic() + timeout
        while True:
            at = self._pending.find(mark)
            if at >= 0:
                eol = self._pending.find(b"\n", at)
                if eol >= 0:
                    before = self._pending[:at]
                    value = self._pending[at + len(mark):eol].strip()
                    self._pending = self._pending[eol + 1:]
                    return before, value
            left = end - time.monotonic()
            if left <= 0:
                raise Timeout(f"the guest's shell did not answer in "
                              f"{timeout:.0f} s; it said: "
                              f"{self._pending[-200:]!r}")
            self._sock.settimeout(min(left, 0.5))
            try:
                data = self._sock.recv(65536)
            except socket.timeout:
                self._alive()
                continue
            if not data:
                self._alive()
                raise LabError("QEMU closed the guest's serial port")
            self._pending += data

    def run(self, command, timeout=30, check=True):
        """Run one line in the guest; returns (status, output)."""
        self.send(command)
        return self.finish(command, timeout, check)

    def send(self, command):
        """Start a command; `finish` collects it.

        The end mark carries a number of our own, so that what an earlier,
        abandoned command prints late is not taken for this one's answer.
        """
        self._count += 1
        # The quotes keep the mark itself out of an echo of the line.
        line = f"{command}; echo '##''END{self._count}' $?\n"
        self._sock.settimeout(10)
        self._sock.sendall(line.encode())

    def finish(self, command="command", timeout=30, check=True):
        before, value = self._read_until(b"##END%d " % self._count, timeout)
        output = before.replace(b"\r", b"").decode(errors="replace")
        output = "\n".join(l for l in output.splitlines()
                           if not l.startswith("##"))
        status = int(value)
        if check and status:
            raise LabError(f"in the guest: {command}: status {status}: "
                           f"{output.strip()}")
        return status, output

    def close(self):
        self._sock.close()
