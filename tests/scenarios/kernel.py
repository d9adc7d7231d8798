#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What patches/linux adds to KVM, as QEMU uses it: oracle migrations with all
memory write-protected at once, and with rings that overflow to bitmaps and wake
the reaper. With KVM as it is all of it is skipped."""

import itertools
import sys

from dirtylab import migrate, rig
import options
import rates

BACKENDS = (("wp-all", 0), ("ring", 1024), ("ring", 65536))
FEATURES = {"ring-overflow", "ring-watermark", "write-protect-all"}


def moved(r, backend, size, rate, vcpus=1):
    name = rates.guest(r, backend, size, vcpus, rate)
    done = rates.trip(r, name, backend)
    told = done.result.tracking
    if backend == "wp-all":
        r.tap.ok(told.protections > 1,
                 f"{name}: memory was protected at once", str(told.raw))
        return
    ring = told.raw["ring"]
    r.tap.note(f"{name}: {ring['overflowed-pages']} pages overflowed, bitmaps "
               f"fetched {ring['overflow-fetches']} times")
    r.tap.ok(ring["full-exits"] == 0, f"{name}: no vCPU stopped", str(ring))
    r.tap.ok(ring["reaper"]["early-wakeups"] == 0,
             f"{name}: the reaper is woken, it does not look", str(ring))


def overflows(r):
    """A reaper that does not get to run is late for every ring."""
    rates.guest(r, "ring", 1024, 1, 0, accel=f"{r.accel('ring', 1024)},"
                "x-dirty-fault-no-reaper=on")
    src, events = r.vm, []
    done = r.migrate("without a reaper", migrate.Options(passes=8), warm=0.5,
                     during=lambda _: events.extend(src.qmp.drain_events()))
    told = [e["data"]["pages"] for e in events
            if e["event"] == "DIRTY_TRACKING_OVERFLOW"]
    ring = done.result.tracking.raw["ring"]
    r.tap.note(f"{ring['overflowed-pages']} pages overflowed, bitmaps fetched "
               f"{ring['overflow-fetches']} times")
    r.tap.ok(ring["overflowed-pages"] > 1024 and ring["overflow-fetches"] > 0,
             "without a reaper most pages overflow", str(ring))
    r.tap.ok(ring["full-exits"] == 0, "without a reaper no vCPU stops, either",
             str(ring))
    r.tap.ok(told and 0 < told[0] <= ring["overflowed-pages"],
             "an event tells of pages that overflow", str(events))


def patched(r, vcpus=1):
    """Whether there is something to test; says so if not."""
    r.need_kvm()
    rates.guest(r, "ring", 1024, vcpus, 500)
    found = set(r.query()["features"])
    if not found:
        r.tap.skip("all of it", "KVM is not that of patches/linux")
        return False
    r.tap.ok(found == FEATURES, "all that the kernel adds is used", str(found))
    return True


def chosen(r):
    """What auto takes without a ring, with and without the kernel's help."""
    for option, backend in (("", "wp-all"), ("dirty-tracking=log", "log"),
                            ("x-dirty-fault-no-features=on", "log"),
                            ("dirty-ring-size=4096,x-dirty-fault-no-ring=on",
                             "wp-all")):
        options.shown(r, option, backend, 0)


def scenario(r):
    if patched(r):
        chosen(r)
        moved(r, "wp-all", 0, 0)
        moved(r, "ring", 1024, 20000)
        overflows(r)


def matrix(r, vcpus=1):
    if patched(r, vcpus):
        for (backend, size), rate in itertools.product(BACKENDS, rates.RATES):
            moved(r, backend, size, rate, vcpus)


def matrix2(r):
    matrix(r, vcpus=2)


if __name__ == "__main__":
    sys.exit(rig.main("patched KVM", scenario, __doc__))
