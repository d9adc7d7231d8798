# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest says of its own speed.

A load generator in the guest prints, on a console that QEMU writes to a file,
    dirtyload t=123456 w=2300000 total=27412345
(milliseconds of the guest's clock, writes a second, writes so far).
"""

import re
import time

LOAD_LINE = re.compile(rb"dirtyload t=([0-9]+) w=([0-9]+) total=([0-9]+)\r?$")


class Sample:
    """One load line: guest seconds, writes since start, when it was seen."""

    __slots__ = ("t", "wps", "total", "seen")

    def __init__(self, t, wps, total, seen):
        self.t, self.wps, self.total, self.seen = t, wps, total, seen


class Follower:
    """Reads a file that grows, line by line; it need not be there yet."""

    def __init__(self, path):
        self.path = path
        self._offset = 0
        self._rest = b""

    def read(self):
        """What is new."""
        try:
            with open(self.path, "rb") as f:
                f.seek(self._offset)
                data = f.read()
        except FileNotFoundError:
            data = b""
        self._offset += len(data)
        return data

    def lines(self):
        """New lines that are complete."""
        found = (self._rest + self.read()).split(b"\n")
        self._rest = found.pop()
        return found

    def skip(self):
        """Pass over what is there already."""
        self.lines()


def sample(line, seen=None):
    """The Sample in a line, or None if it is another line."""
    found = LOAD_LINE.search(line)
    if not found:
        return None
    return Sample(int(found[1]) / 1000, int(found[2]), int(found[3]),
                  time.monotonic() if seen is None else seen)
