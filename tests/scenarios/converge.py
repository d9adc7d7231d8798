#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Auto-converge wants a sync every five seconds, however long a pass takes.
Like any other it is made by the migration thread, which has emptied the rings
before it takes the big lock: only the first and the last sync cannot wait for
that."""

import sys

from dirtylab import migrate, rig, stats

EVENTS = ("kvm_dirty_presync", "cpu_throttle_dirty_sync")
WANTED = 2          # syncs that auto-converge asks for
# MB/s: a pass takes far longer than five seconds.
SLOW = 2


def scenario(r):
    r.need_kvm()
    src = r.guest()
    for event in EVENTS:
        src.qmp.cmd("trace-event-set-state", {"name": event, "enable": True})
    options = migrate.Options(capabilities=("auto-converge",), downtime=1,
                              passes=1 << 30, timeout=180)
    state = {}

    def during(now):
        if now.passes > 1 and "slow" not in state:
            state["slow"] = True
            migrate.configure(src, migrate.Options(bandwidth=SLOW, downtime=1))
        if stats.traced(src, "cpu_throttle_dirty_sync") >= WANTED \
                and "free" not in state:
            state["free"] = True
            migrate.release(src, options)

    done = r.migrate("with auto-converge", options, progress=during)
    r.check_harvest("with auto-converge", done, "ring")
    asked = stats.traced(src, "cpu_throttle_dirty_sync")
    unprepared = stats.unprepared(src)
    said = f"{unprepared} of {stats.flushes(src)} syncs, {asked} asked for"
    r.tap.note(f"without work ahead of them: {said}")
    r.tap.ok(asked >= WANTED and unprepared <= 2,
             "syncs that auto-converge asks for find the rings empty", said)


if __name__ == "__main__":
    sys.exit(rig.main("auto-converge", scenario, __doc__))
