#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The oracle migration under many loads: every pattern, paced and flat out,
one and two vCPUs, small and large rings, and the bitmap. Takes long."""

import itertools
import sys

from dirtylab import migrate, rig
from dirtylab.errors import LabError

BACKENDS = (("ring", 1024), ("ring", 4096), ("ring", 65536), ("log", 0))
PATTERNS = ("random", "sequential", "hotset", "onepage")
RATES = (0, 10000)


def scenario(r):
    for vcpus, (backend, size) in itertools.product((1, 2), BACKENDS):
        for pattern, rate in itertools.product(PATTERNS, RATES):
            load = (f"threads={vcpus},mib={96 // vcpus},rate={rate},"
                    f"pattern={pattern}")
            name = (f"{backend} {size or ''} {vcpus} vCPU, {pattern}, "
                    f"{rate or 'flat out'}").replace("  ", " ")
            try:
                r.guest(backend, size, mem=384, vcpus=vcpus, maxcpus=0,
                        vga=False, shared_bar=0, load=load)
                done = r.migrate(name, migrate.Options(passes=8), warm=0.5)
                r.check_writes(name, done)
                if r.kvm:
                    r.check_harvest(name, done, backend)
            except LabError as err:
                # The others are to run all the same.
                r.tap.ok(False, f"{name}: came to its end", str(err))
                r.discard()


if __name__ == "__main__":
    sys.exit(rig.main("matrix", scenario, __doc__))
