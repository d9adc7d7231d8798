#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""With rings KVM begins to log a part of memory no sooner than the sender gets
there; at once if somebody else wants to know of all writes; and none is left
over when migration ends, however it ends."""

import sys

from dirtylab import dirtyrate, migrate, rig
import dirtyrates

MIB = 1 << 20


def late(r):
    return r.query()["late-slots"]


def slow():
    """Slow enough to look at the first pass, but not for minutes."""
    return migrate.Options(bandwidth=16, downtime=1, passes=1 << 30)


def falling(r):
    """The sender gets on: part after part is logged."""
    vm = r.guest()
    parts = vm.spec.mem * MIB // r.query()["slot-size"]
    r.tap.ok(late(r) == 0, "nothing is late before a migration")
    seen = []
    options = slow()

    def during(_):
        seen.append(late(r))
        if len(seen) > 20 and options.passes > 100:
            migrate.release(vm, options)

    done = r.migrate("slow first pass", options, during=during)
    r.tap.note(f"of {parts} parts late: {seen}")
    r.tap.ok(max(seen) > parts / 2, "most of memory is not logged at first",
             f"of {parts} parts late: {seen}")
    r.tap.ok(len(set(seen)) > 3 and
             all(a >= b for a, b in zip(seen[1:], seen[2:])),
             "it is logged part by part", str(seen))
    left = done.result.tracking.raw["late-slots"]
    r.tap.ok(left == 0, "nothing is late in the end", f"{left} parts")


def joined(r):
    """Who counts pages sees those that migration need not see."""
    vm = r.guest()
    options = migrate.held()
    state = {}

    def during(_):
        # The first looks come before logging has begun.
        if "before" in state or not late(r):
            return
        state["before"] = late(r)
        state["rate"] = dirtyrate.measure(vm, "dirty-ring", seconds=1)
        state["after"] = late(r)
        state["floor"] = dirtyrates.least(vm)
        migrate.release(vm, options)

    r.migrate("with a measurement of the dirty rate", options, during=during)
    r.tap.ok(state["before"] > 0, "memory is late when the measurement begins")
    r.tap.ok(state["after"] == 0, "then all of it is logged",
             f"{state['after']} parts are not")
    found = state["rate"]["dirty-rate"]
    r.tap.ok(found >= state["floor"], "the measurement finds the load",
             f"{found} MB/s, not even {state['floor']}")


def cancelled(r):
    """A migration that ends early leaves nothing behind."""
    vm = r.guest()
    dst = r.destination()
    migrate.start_and_cancel(vm, dst, migrate.held(), passes=1)
    r.lab.drop(dst)
    r.tap.ok(late(r) == 0, "nothing is late after cancelling")
    r.migrate("after cancelling")


def scenario(r):
    r.need_kvm()
    for part in (falling, joined, cancelled):
        part(r)


if __name__ == "__main__":
    sys.exit(rig.main("late start of logging", scenario, __doc__))
