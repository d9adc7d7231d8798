#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""System management mode gives KVM a second address space, with a listener of
its own. A sync must still flush the rings once, not once for each."""

import sys

from dirtylab import migrate, rig, stats
from dirtylab.errors import Unavailable, VmDied

# Beside one sync per pass there may be the ones at the start and the end.
ALLOWANCE = 2
# So many passes that two flushes for each would be more than that.
PASSES = 6


def scenario(r):
    r.need_kvm()
    try:
        src = r.guest(machine="q35,smm=on", vga=False, shared_bar=0,
                      maxcpus=0)
    except VmDied as err:
        if "System Management Mode" in str(err):
            raise Unavailable("this KVM has no SMM") from err
        raise
    done = r.migrate("with two address spaces", migrate.Options(
        downtime=1, passes=PASSES))
    r.check_harvest("with two address spaces", done, "ring")
    flushes, passes = stats.flushes(src), done.result.passes
    said = f"{flushes} flushes for {passes} passes"
    r.tap.ok(passes >= PASSES and 0 < flushes <= passes + ALLOWANCE,
             "one flush per sync", said)
    r.tap.note(said)
    r.discard()


if __name__ == "__main__":
    sys.exit(rig.main("SMM", scenario, __doc__))
