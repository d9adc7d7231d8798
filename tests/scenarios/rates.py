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


def guest(r, backend, size, vcpus, rate, **changes):
    """A guest that writes at that rate; returns what to call it."""
    r.guest(backend, size, mem=384, vcpus=vcpus, maxcpus=0, vga=False,
            shared_bar=0,
            load=f"threads={vcpus},mib={96 // vcpus},rate={rate}", **changes)
    return (f"{backend} {size or ''}, {vcpus} vCPU, "
            f"{f'{rate} pages/s' if rate else 'flat out'}")


def trip(r, name, backend):
    done = r.migrate(name, migrate.Options(passes=8), warm=0.5)
    r.check_writes(name, done)
    r.check_harvest(name, done, backend)
    return done


def scenario(r):
    r.need_kvm()
    for size, vcpus, rate in itertools.product(RINGS, (1, 2), RATES):
        name = guest(r, "ring", size, vcpus, rate)
        for where in TRIPS:
            trip(r, f"{name}, {where}", "ring")


if __name__ == "__main__":
    sys.exit(rig.main("rates", scenario, __doc__))
