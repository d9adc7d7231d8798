# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads QEMU's trace log as -msg timestamp=on makes it."""

import dataclasses
import os
import re
import time

# Memory's dirty tracking changes; the argument is what it is for from then on.
CHANGED = "global_dirty_changed"
LINE = re.compile(r"([0-9]+)@([0-9]+)\.([0-9]{6}):(\w+) ?(.*)$")


@dataclasses.dataclass(frozen=True)
class Event:
    thread: int
    t: float                    # seconds, of time.time()
    name: str
    args: str


def parse(lines, names=None):
    """The events among lines, in order. A line that is no event is something
    QEMU had to say, or is still being written: passed over."""
    for line in lines:
        found = LINE.match(line)
        if found and (names is None or found[4] in names):
            yield Event(int(found[1]), int(found[2]) + int(found[3]) / 1e6,
                        found[4], found[5].strip())


def position(vm):
    """From where on what is traced from now on can be read."""
    return os.path.getsize(vm.trace_path)


def read(vm, names=None, start=0):
    with open(vm.trace_path, encoding="utf-8", errors="replace") as f:
        f.seek(start)
        return list(parse(f, names))


def monotonic(t):
    """An event's time on the clock of time.monotonic()."""
    return t - time.time() + time.monotonic()
