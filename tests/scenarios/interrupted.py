#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU is stopped and continued all the time while it migrates: by signals, by
the freezer of its cgroup, by strace, by a debugger.

From Linux 6.17 on, each of these ends a reset of the dirty rings before it has
done all.  QEMU then protects all memory again, and no page may be lost.
"""

import re
import sys

from dirtylab import disturb, migrate, rig
from dirtylab.errors import Unavailable

# How often of each kind, in the short run and in the long one.
SHORT = (("signals", 2),)
LONG = (("signals", 8), ("freezer", 5), ("debugger", 4), ("strace", 3))
# Little memory, so that a process that is stopped all the time gets it all
# sent; written as fast as can be, so that resets are long.
MACHINE = dict(mem=160, load="mib=32,rate=0", maxcpus=0, vga=False,
               shared_bar=0)
MIGRATION = migrate.Options(passes=4, timeout=300)


def resets_can_be_interrupted():
    """Whether this host's kernel does that."""
    with open("/proc/sys/kernel/osrelease", encoding="ascii") as f:
        release = f.read()
    major, minor = re.match(r"(\d+)\.(\d+)", release).groups()
    return (int(major), int(minor)) >= (6, 17)


def once(r, kind, number):
    """One migration; returns how many resets were short."""
    name = f"{kind} {number}"
    dst = r.destination()
    other = disturb.disturber(kind, r.vm.proc.pid)

    def follow(now):
        """Early in the first pass nothing is logged."""
        if now.stage in migrate.OVER:
            other.stop()
        elif now.passes > 1 or 0 < now.remaining < now.total // 2:
            other.start()

    try:
        done = r.migrate(name, MIGRATION, dst, progress=follow)
    finally:
        other.stop()
    r.check_harvest(name, done, "ring")
    ring = done.result.tracking.raw["ring"]
    seconds = done.result.ended - done.result.began
    r.tap.note(f"{name}: stopped {other.times} times in {seconds:.1f} s; of "
               f"{ring['resets']} resets {ring['short-resets']} were short, "
               f"memory was protected again {ring['reprotections']} times")
    r.tap.ok(other.times > 1, f"{name}: QEMU was stopped again and again",
             f"{other.times} times")
    return ring["short-resets"]


def several(r, kinds):
    r.need_kvm()
    r.guest(**MACHINE)
    for kind, times in kinds:
        why = disturb.available(kind)
        if why:
            raise Unavailable(why)
        found = sum(once(r, kind, number) for number in range(1, times + 1))
        r.tap.note(f"{kind}: {found} short resets in {times} migrations")
        if kind == "signals" and resets_can_be_interrupted():
            r.tap.ok(found > 0, "signals: they did interrupt resets",
                     "none was short: this run proves nothing")


def short(r):
    several(r, SHORT)


def scenario(r):
    several(r, LONG)


if __name__ == "__main__":
    sys.exit(rig.main("interrupted resets", scenario, __doc__))
