#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Twenty-four oracle migrations with rings: the smallest and the largest, one
and two vCPUs, at every rate at which dirty tracking is measured, there and
back."""

import itertools
import sys

from dirtylab import migrate, rig

RINGS = (1024, 65536)
RATES = (500, 20000, 0)
TRIPS = ("there", "back")


def scenario(r):
    r.need_kvm()
    for size, vcpus, rate in itertools.product(RINGS, (1, 2), RATES):
        r.guest("ring", size, mem=384, vcpus=vcpus, maxcpus=0, vga=False,
                shared_bar=0,
                load=f"threads={vcpus},mib={96 // vcpus},rate={rate}")
        for trip in TRIPS:
            name = (f"ring {size}, {vcpus} vCPU, "
                    f"{f'{rate} pages/s' if rate else 'flat out'}, {trip}")
            done = r.migrate(name, migrate.Options(passes=8), warm=0.5)
            r.check_harvest(name, done, "ring")


if __name__ == "__main__":
    sys.exit(rig.main("rates", scenario, __doc__))
