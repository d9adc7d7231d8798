#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU is stopped and continued all the time while it migrates: by signals, by
the freezer of its cgroup, by strace, by a debugger.

From Linux 6.17 on, each of these ends a reset of the dirty rings before it has
done all.  QEMU then protects all memory again, and no page may be lost.
"""

import dataclasses
import sys

from dirtylab import disturb, kvm, migrate, rig, stats

# From this kernel on, what stops a thread ends its reset.
INTERRUPTIBLE = (6, 17)
# How often of each kind, in the short run and in the long one.
SHORT = (("signals", 2),)
LONG = (("signals", 8), ("freezer", 5), ("debugger", 4), ("strace", 3))
# Twice as many pages as the ring has entries, written as fast as can be: the
# ring is harvested and reset again and again, as long as memory is logged.
MACHINE = dict(mem=160, load="mib=32,rate=0", maxcpus=0, vga=False,
               shared_bar=0)
# Migrations more, if signals have hit no reset by then.
MORE = 4
# Seconds during which the migration is held back for that: at least, and at
# most, if no reset was short until then.
HELD = (5, 40)


class Held:
    """A migration's progress: once its first pass is done it is held back, and
    QEMU is stopped and continued until its end."""

    def __init__(self, vm, kind):
        self.vm = vm
        self.other = disturb.disturber(kind, vm.proc.pid)
        self.options = dataclasses.replace(migrate.held(), bandwidth=200,
                                           timeout=300)
        self.began = self.released = None

    def ring(self):
        """The ring's counters; stock QEMU has none."""
        return (stats.query(self.vm) or {}).get("ring", {})

    def __call__(self, now):
        if now.stage in migrate.OVER:
            self.other.stop()
        elif now.passes > 1 and not self.began:
            migrate.configure(self.vm, migrate.held())
            self.began = now.seconds
            self.other.start()
        elif self.began and not self.released:
            held = now.seconds - self.began
            short = self.ring().get("short-resets")
            if held > HELD[1] or (held > HELD[0] and short):
                migrate.release(self.vm, self.options)
                self.released = now.seconds


def once(r, kind, number):
    """One migration; returns how many resets were short."""
    name = f"{kind} {number}"
    held = Held(r.vm, kind)
    dst = r.destination()
    try:
        done = r.migrate(name, held.options, dst, progress=held)
    finally:
        held.other.stop()
    r.check_harvest(name, done, "ring")
    ring = (done.result.tracking.raw or {}).get("ring", {})
    short = ring.get("short-resets", 0)
    seconds = done.result.ended - done.result.began - held.began
    r.tap.note(f"{name}: stopped {held.other.times} times in {seconds:.1f} s; "
               f"of {ring.get('resets')} resets {short} were short, memory "
               f"was protected again {ring.get('reprotections')} times")
    r.tap.ok(held.other.times > 1, f"{name}: QEMU was stopped again and again",
             f"{held.other.times} times")
    return short


def several(r, kinds):
    r.need_kvm()
    r.guest(**MACHINE)
    for kind, times in kinds:
        wanted = kind == "signals" and kvm.kernel() >= INTERRUPTIBLE
        found = number = 0
        while number < times or (wanted and not found and
                                 number < times + MORE):
            number += 1
            found += once(r, kind, number)
        r.tap.note(f"{kind}: {found} short resets in {number} migrations")
        if wanted:
            r.tap.ok(found > 0, "signals: they did interrupt resets",
                     "none was short: this run proves nothing")


def short(r):
    several(r, SHORT)


def scenario(r):
    several(r, LONG)


if __name__ == "__main__":
    sys.exit(rig.main("interrupted resets", scenario, __doc__))
