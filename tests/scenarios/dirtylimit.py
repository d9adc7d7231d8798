#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The dirty limit slows a vCPU down by its ring and lets it go again; then a
migration with the dirty-limit capability."""

import statistics
import sys
import time

from dirtylab import guest, migrate, rig
from dirtylab.qmp import QmpError

QUOTA = 8           # MB/s
LOW = 1             # what migration's dirty-limit capability starts with
PAGES = 256         # in a MB
SIZES = (1024, 65536)
SLOW = 6            # a link that does not carry what the guest writes
# Seconds: the host is emulated and busy; on others it takes milliseconds.
SOON = 0.5


def current(vm):
    limits = vm.qmp.cmd("query-vcpu-dirty-limit")
    return max(v["current-rate"] for v in limits)


def holds(r, vm, size):
    """A low limit holds whatever the size of the ring: by what QEMU measures,
    and by what the load counts, whose writes nearly all go to another page.
    The guest's kernel has its share of the limit, too."""
    vm.run_for(3)
    before, measured = len(vm.console.samples), []
    for _ in range(7):
        vm.run_for(1.3)
        measured.append(current(vm))
    said = ", ".join(str(rate) for rate in measured)
    median = statistics.median(measured)
    r.tap.ok(LOW / 2 <= median <= LOW * 2,
             f"ring {size}: {LOW} MB/s is measured, within a factor of two",
             f"MB/s: {said}")
    written = guest.rate(vm.console.samples[before:]) / PAGES
    r.tap.note(f"ring {size}: measured {said} MB/s, "
               f"the load writes {written:.2f} MB/s")
    r.tap.ok(0 < written <= LOW * 2,
             f"ring {size}: the load writes, and no more than twice {LOW} MB/s",
             f"{written:.2f} MB/s")


def stops(r, vm, size):
    """A vCPU that is held for its limit stops when it is told to."""
    took = []
    for _ in range(4):
        vm.run_for(0.7)
        began = time.monotonic()
        vm.qmp.cmd("stop")
        took.append(time.monotonic() - began)
        vm.qmp.cmd("cont")
    said = ", ".join(f"{seconds:.2f} s" for seconds in took)
    r.tap.ok(max(took) < SOON, f"ring {size}: stop takes less than {SOON} s",
             said)


def low(r):
    for size in SIZES:
        vm = r.guest(size=size, load="mib=128,rate=0")
        vm.run_for(1)
        vm.qmp.cmd("set-vcpu-dirty-limit", {"dirty-rate": LOW})
        holds(r, vm, size)
        stops(r, vm, size)
        vm.qmp.cmd("cancel-vcpu-dirty-limit")
        r.discard()


def scenario(r):
    r.need_kvm()
    low(r)
    vm = r.guest()
    vm.run_for(1)
    free = guest.rate(vm.console.samples[-10:])
    vm.qmp.cmd("set-vcpu-dirty-limit", {"dirty-rate": QUOTA})
    limits = vm.qmp.cmd("query-vcpu-dirty-limit")
    # A vCPU that is not plugged yet may be listed as well.
    r.tap.ok(limits and all(v["limit-rate"] == QUOTA for v in limits),
             "the limit is set and shown", str(limits))

    def slow():
        wps = guest.rate(vm.console.samples[-10:])
        return wps is not None and wps < free / 2 and wps

    limited = r.wait("writes fall to less than half", slow, timeout=60)
    r.tap.note(f"the guest is slowed to {limited:.0f} writes/s")

    measured = r.wait("the vCPU's dirty rate is known", lambda: current(vm))
    r.tap.note(f"its dirty rate is known, {measured} MB/s")
    vm.qmp.cmd("cancel-vcpu-dirty-limit")
    r.tap.ok(vm.qmp.cmd("query-vcpu-dirty-limit") == [],
             "the limit is gone")

    def fast():
        wps = guest.rate(vm.console.samples[-10:])
        return wps is not None and wps > 1.5 * limited and wps

    free = r.wait("writes go up again", fast, timeout=60)
    r.tap.note(f"the guest is free again, {free:.0f} writes/s")
    capability(r)


def capability(r):
    """Migration sets the limit itself when it does not converge."""
    name = "with the dirty-limit capability"
    vm = r.vm
    options = migrate.Options(bandwidth=40, downtime=1, passes=1 << 30,
                              capabilities=("dirty-limit",),
                              parameters={"vcpu-dirty-limit": LOW})
    found = {}

    def during(_):
        told = vm.qmp.cmd("query-migrate")
        ram = told.get("ram", {})
        # The first pass takes longest, and has no say.
        if 0 < ram.get("remaining", 0) < ram["total"] // 4 \
                and "slow" not in found:
            found["slow"] = True
            vm.qmp.cmd("migrate-set-parameters",
                       {"max-bandwidth": SLOW * 1000000})
        slept = told.get("dirty-limit-throttle-time-per-round", 0)
        limits = vm.qmp.cmd("query-vcpu-dirty-limit")
        if slept and limits and "slept" not in found:
            found.update(slept=slept, limits=limits)
            migrate.release(vm, options)

    try:
        done = r.migrate(name, options, during=during)
    except QmpError as err:
        r.tap.ok(False, name, err.desc)
        return
    r.tap.ok("slept" in found
             and all(v["limit-rate"] == LOW for v in found["limits"]),
             f"{name}: the guest is slowed", str(found))
    r.tap.note(f"{name}: {found}")
    r.check_harvest(name, done, "ring")
    r.vm.wait_shell()


if __name__ == "__main__":
    sys.exit(rig.main("dirty limit", scenario, __doc__))
