#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A hundred and twenty oracle migrations on KVM with patches/linux: each
backend, one and two vCPUs, at every rate at which dirty tracking is measured,
there and back, twice.  Takes most of an hour."""

import itertools
import sys

from dirtylab import rig
from dirtylab.errors import LabError
import kernel
import rates

BACKENDS = (("log", 0), ("wp-all", 0),
            ("ring", 1024), ("ring", 4096), ("ring", 65536))
TRIPS = rates.TRIPS * 2


class Count:
    """What became of the migrations with one backend."""

    def __init__(self):
        self.tried = self.good = 0
        self.full = self.overflowed = 0

    def add(self, done):
        self.good += done.good
        ring = done.result.tracking.raw.get("ring")
        if ring:
            self.full += done.result.tracking.ring_full
            self.overflowed += ring["overflowed-pages"]

    def __str__(self):
        return f"{self.good} of {self.tried} without a difference"


def one_guest(r, count, backend, size, vcpus, rate):
    name = None
    for number, where in enumerate(TRIPS, 1):
        count.tried += 1
        try:
            name = name or rates.guest(r, backend, size, vcpus, rate)
            done = rates.trip(r, f"{name}, {where} ({number})", backend)
        except LabError as err:
            # The others are to run all the same.
            r.tap.ok(False, f"{backend} {size}, {vcpus} vCPU, rate {rate}, "
                     f"migration {number}: came to its end", str(err))
            r.discard()
            name = None
        else:
            count.add(done)


def scenario(r):
    if not kernel.patched(r):
        return
    counts = {}
    for (backend, size), vcpus, rate in itertools.product(
            BACKENDS, (1, 2), rates.RATES):
        count = counts.setdefault(f"{backend} {size or ''}".strip(), Count())
        one_guest(r, count, backend, size, vcpus, rate)
    for name, count in counts.items():
        r.tap.note(f"{name}: {count}" + (
            f", {count.full} ring-full exits, {count.overflowed} pages "
            "overflowed" if name.startswith("ring") else ""))
    tried = sum(count.tried for count in counts.values())
    good = sum(count.good for count in counts.values())
    r.tap.ok(good == tried and tried > 100,
             f"{good} of {tried} migrations without a difference")


if __name__ == "__main__":
    sys.exit(rig.main("120 on patched KVM", scenario, __doc__))
