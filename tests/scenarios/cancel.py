#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A migration is cancelled, early and late, loses its destination in the last
moment, and is then done after all."""

import sys

from dirtylab import guest, migrate, report, rig


def counters(r):
    """What has been counted; shares of the time and rates fall by themselves."""
    told = r.query()
    ring = told.get("ring", {})
    for share in ("cpu-share", "cpu-share-mean"):
        ring.get("reaper", {}).pop(share, None)
    for vcpu in ring.get("vcpus", []):
        vcpu.pop("rate", None)
    return told


def steps(r, backend):
    vm = r.guest(backend)
    for passes in (1, 2):
        dst = r.destination()
        now = migrate.start_and_cancel(
            vm, dst, migrate.Options(bandwidth=60), passes=passes)
        r.lab.drop(dst)
        vm.run_for(0.5)
        r.tap.ok(vm.status() == "running" and not vm.console.corrupt,
                 f"cancelled in pass {passes}, the guest runs",
                 vm.console.corrupt)
        r.tap.note(f"cancelled after {now.seconds:.1f} s in pass "
                   f"{now.passes}")
    dst = r.destination()
    told = migrate.start_and_lose(vm, dst, migrate.Options())
    r.lab.drop(dst)
    vm.run_for(0.5)
    r.tap.ok(vm.status() == "running" and not vm.console.corrupt,
             "destination lost in the last pass, the guest runs",
             vm.console.corrupt)
    r.tap.ok(told, "and QEMU says why the migration failed")
    r.tap.note(f"it says: {told}")
    if r.query():
        before = counters(r)
        vm.run_for(1.5)
        after = counters(r)
        r.tap.ok(before == after, "nothing is logged after cancelling",
                 [str(before), str(after)])
    # Told, not judged: on a busy machine it says little.
    wps = guest.rate(vm.console.samples[-10:])
    r.tap.note(f"the guest writes {report.short(wps)} times a second again")
    r.migrate("retry")
    r.vm.wait_shell()


ring, log, wp_all = rig.by_backend(steps)

if __name__ == "__main__":
    sys.exit(rig.main("cancel and retry", ring, __doc__))
