# SPDX-License-Identifier: GPL-2.0-or-later
"""Syncs and rings, reckoned from what was seen at each look."""

import dataclasses

from .look import MICRO


@dataclasses.dataclass
class Sync:
    t: float
    count: int          # how many since the look before; these are the last's
    time: float
    locked: float
    pages: int


@dataclasses.dataclass
class Vcpu:
    index: int
    occupancy: list = dataclasses.field(default_factory=list)   # (t, entries)
    high_water: list = dataclasses.field(default_factory=list)  # (t, entries)
    stalls: list = dataclasses.field(default_factory=list)  # (t0, t1, share)
    full_exits: int = 0
    full_time: float = 0.0

    @property
    def highest(self):
        return max((n for _, n in self.high_water), default=0)


def syncs(looks):
    """Each Sync that was seen."""
    found = []
    for before, look in zip(looks, looks[1:]):
        told = look.told("sync")
        grew = (told or {}).get("count", 0) - (
            before.told("sync", "count") or 0)
        if told and before.tracking and grew > 0:
            found.append(Sync(look.t, grew, told["time-last"] * MICRO,
                              told["locked-last"] * MICRO,
                              told["pages-last"]))
    return found


def vcpus(looks):
    """Each Vcpu that has a ring."""
    found, before = {}, {}
    for look in looks:
        for told in look.told("kvm", "ring", "vcpus") or ():
            index = told["cpu-index"]
            vcpu = found.setdefault(index, Vcpu(index))
            vcpu.occupancy.append((look.t, told["occupancy"]))
            vcpu.high_water.append((look.t, told["high-water"]))
            _stall(vcpu, before.get(index), (look.t, told))
            before[index] = (look.t, told)
    return [found[index] for index in sorted(found)]


def _stall(vcpu, before, now):
    """Add how long the vCPU stood still between two looks."""
    if before is None:
        return
    (t0, old), (t1, new) = before, now
    still = (new["full-time"] - old["full-time"]) * MICRO
    vcpu.full_exits += new["full-exits"] - old["full-exits"]
    if still > 0 and t1 > t0:
        vcpu.full_time += still
        vcpu.stalls.append((t0, t1, min(1.0, still / (t1 - t0))))
