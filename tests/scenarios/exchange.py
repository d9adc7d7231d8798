#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Migrations between stock QEMU and ours, both ways, with ring and bitmap on
either side: what an upgrade does host by host, and the way back.

Needs stock QEMU, which is Debian's source without our patches: ninja -C build
upstream.
"""

import os
import sys

from dirtylab import config, migrate, rig, stats
from dirtylab.errors import LabError

QEMU = {"stock": config.UPSTREAM, "ours": config.QEMU}
# One guest, from each to the next.
STOPS = (
    ("stock", "ring", 4096),
    ("ours", "ring", 1024),
    ("stock", "log", 0),
    ("ours", "log", 0),
    ("stock", "ring", 1024),
    ("ours", "ring", 4096),
)


def machine(r, stop):
    who, backend, size = stop
    return dict(qemu=QEMU[who], accel=r.accel(backend, size, QEMU[who]))


def name(stop):
    who, backend, size = stop
    return f"{who} with {backend} {size or ''}".strip()


def check_who(r, stop):
    """The one that has our monitor command is ours."""
    r.tap.ok(r.vm.qmp.has(stats.COMMAND) == (stop[0] == "ours"),
             f"{name(stop)}: it is that QEMU", r.vm.spec.qemu)


def written(src, since):
    """How many writes the source's console has told of since then."""
    totals = [s.total for s in src.console.samples if s.seen >= since]
    return totals[-1] - totals[0] if totals else 0


def hop(r, start, end):
    what = f"{name(start)} to {name(end)}"
    src = r.vm
    dst = r.lab.start(src.spec.replace(**machine(r, end)), incoming=True)
    done = r.migrate(what, migrate.Options(passes=8), dst=dst, warm=0.5)
    r.check_harvest(what, done, start[1])
    r.tap.ok(written(src, done.result.began) > 0,
             f"{what}: the guest wrote meanwhile",
             f"{len(src.console.samples)} lines of the load")
    check_who(r, end)
    r.vm.wait_shell()


def scenario(r):
    r.need_kvm()
    if not os.path.exists(QEMU["stock"]):
        raise LabError("there is no stock QEMU: ninja -C build upstream")
    r.guest(**machine(r, STOPS[0]))
    check_who(r, STOPS[0])
    for start, end in zip(STOPS, STOPS[1:]):
        hop(r, start, end)


if __name__ == "__main__":
    sys.exit(rig.main("stock QEMU and ours", scenario, __doc__))
