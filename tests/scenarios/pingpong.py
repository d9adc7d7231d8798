#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Several migrations in a row, each from where the one before arrived, with
rings of different sizes and, in between, with the bitmap."""

import sys

from dirtylab import rig

# A ring too small for the load fills at once; sizes may differ between hosts.
SIZES = (4096, 1024, 65536)


def scenario(r):
    r.guest()
    for number, size in enumerate(SIZES, 1):
        spec = r.vm.spec.replace(accel=r.accel("ring", size))
        dst = r.lab.start(spec, incoming=True)
        done = r.migrate(f"hop {number} to a ring of {size}", dst=dst)
        r.vm.wait_shell()
    done = r.migrate("hop 4 from a ring of 65536", dst=r.lab.start(
        r.vm.spec.replace(accel=r.accel("log")), incoming=True))
    if r.kvm:
        r.check_harvest("hop 4", done, "ring")
    r.vm.wait_shell()
    done = r.migrate("hop 5 from the bitmap", dst=r.lab.start(
        r.vm.spec.replace(accel=r.accel("ring")), incoming=True))
    if r.kvm:
        r.check_harvest("hop 5", done, "log")
    r.vm.wait_shell()


if __name__ == "__main__":
    sys.exit(rig.main("migrations in a row", scenario, __doc__))
