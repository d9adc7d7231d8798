#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""System management mode gives KVM a second address space, with a listener of
its own. A sync must still flush the rings once, not once for each."""

import sys

from dirtylab import rig
from dirtylab.errors import Unavailable, VmDied

# Beside one sync per pass there are the ones at the start and the end.
ALLOWANCE = 4


def scenario(r):
    r.need_kvm()
    try:
        r.guest(machine="q35,smm=on", vga=False, shared_bar=0, maxcpus=0)
    except VmDied as err:
        if "System Management Mode" in str(err):
            raise Unavailable("this KVM has no SMM") from err
        raise
    done = r.migrate("with two address spaces")
    r.check_harvest("with two address spaces", done, "ring")
    syncs, passes = done.result.tracking.syncs, done.result.passes
    r.tap.ok(syncs is not None and syncs <= passes + ALLOWANCE,
             "one flush per sync",
             f"{syncs} flushes for {passes} passes")
    r.tap.note(f"{syncs} flushes for {passes} passes")
    r.discard()


if __name__ == "__main__":
    sys.exit(rig.main("SMM", scenario, __doc__))
