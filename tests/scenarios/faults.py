#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Does the oracle see a lost page? Dirty bits are dropped on purpose.

The test build's x-dirty-fault-drop never tells of some pages after the first
sync. One that is not written again after it was sent is no loss: so a single
page may be dropped in vain, and then the next attempt drops more.

x-dirty-fault-late lets memory be sent that is not logged yet.
"""

import sys

from dirtylab import migrate, rig, trial

DROPS = (1, 4, 16, 64)


def faulty(r, fault, **changes):
    """A migration of a guest whose QEMU makes mistakes."""
    vm = r.guest(mem=256, maxcpus=0, vga=False, shared_bar=0,
                 accel=f"{r.accel('ring')},{fault}", **changes)
    dst = r.destination()
    done = trial.run(vm, dst, migrate.Options(bandwidth=50), warm=0.5)
    # No guest continues on memory that is known to be wrong.
    r.lab.drop(dst)
    r.discard()
    return done


def scenario(r):
    r.need_kvm()
    for drop in DROPS:
        done = faulty(r, f"x-dirty-fault-drop={drop}", load="mib=16,rate=4000")
        if done.differing:
            r.tap.note(f"{drop} dropped: {done.differing} pages differ")
            for text in done.details():
                r.tap.note(text)
            break
        r.tap.note(f"{drop} dropped: not written again")
    r.tap.ok(done.differing > 0, "the oracle reports dropped dirty bits",
             f"0 pages differ even with {drop} dropped")
    r.tap.ok(0 < done.differing <= drop, "not more differ than were dropped",
             f"{done.differing} of {drop}")

    done = faulty(r, "x-dirty-fault-late=on", load="mib=96,rate=20000")
    r.tap.note(f"late for ever: {done.differing} pages differ")
    r.tap.ok(done.differing > 0, "the oracle reports memory that is sent "
             "before it is logged", "0 pages differ")


if __name__ == "__main__":
    sys.exit(rig.main("fault injection", scenario, __doc__))
