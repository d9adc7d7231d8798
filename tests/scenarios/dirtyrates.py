#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Dirty rates: from the ring, by sampling, and from the bitmap; each backend
offers the ones that fit and refuses the other."""

import sys

from dirtylab import dirtyrate, guest, rig
from dirtylab.errors import LabError
from dirtylab.qmp import QmpError

# A page that is written twice counts once, and sampling is coarse; but this
# share of what the guest says it wrote must be seen.
SHARE = 0.1

# Backend: what it measures by, and what it refuses.
BITMAP = (("dirty-bitmap", "page-sampling"), ("dirty-ring",))
MODES = {
    "ring": (("dirty-ring", "page-sampling", "dirty-ring"), ("dirty-bitmap",)),
    "log": BITMAP,
    "wp-all": BITMAP,
}


def least(vm):
    """MB/s that a measurement just made must have found."""
    wps = guest.rate(vm.console.samples[-12:])
    if not wps:
        raise LabError("the guest wrote nothing meanwhile")
    return max(int(SHARE * wps * 4096 / (1 << 20)), 1)


def steps(r, backend):
    r.need_kvm()
    vm = r.guest(backend)
    good, bad = MODES[backend]
    for mode in good:
        answer = dirtyrate.measure(vm, mode, seconds=1)
        floor = least(vm)
        r.tap.ok(answer["dirty-rate"] >= floor, f"{mode} measures the load",
                 f"not even {floor} MB/s: {answer}")
        r.tap.note(f"{mode}: {answer['dirty-rate']} MB/s, at least {floor} "
                   "were written")
        if mode == "dirty-ring":
            r.tap.ok(answer["vcpu-dirty-rate"][0]["dirty-rate"] >= floor,
                     "dirty-ring tells the vCPU's rate", str(answer))
    for mode in bad:
        try:
            dirtyrate.measure(vm, mode)
            r.tap.ok(False, f"{mode} is refused")
        except QmpError as err:
            r.tap.ok("dirty" in err.desc, f"{mode} is refused", err.desc)


ring, log, wp_all = rig.by_backend(steps)

if __name__ == "__main__":
    sys.exit(rig.main("dirty rate", ring, __doc__))
