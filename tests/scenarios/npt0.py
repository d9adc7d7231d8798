#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""KVM with patches/linux on shadow page tables (kvm-amd.npt=0), where memory
cannot be protected at once: QEMU must say so, and do without.

A Linux guest does not get far there: QEMU's emulation of SVM without nested
paging resets it when it leaves real mode, with Debian's KVM as well.  That
pages are not lost is seen with the guests of tests/qtest, which are smaller.
"""

import sys

from dirtylab import kvm, rig
from dirtylab.errors import Unavailable
import kernel
import options

# Option, backend, features
SHOWN = (
    ("", "log", set()),
    ("dirty-tracking=log", "log", set()),
    ("dirty-ring-size=4096", "ring", kernel.FEATURES - {"write-protect-all"}),
    ("dirty-tracking=ring,dirty-ring-size=1024", "ring",
     kernel.FEATURES - {"write-protect-all"}),
)


def scenario(r):
    r.need_kvm()
    if kvm.parameter("kvm-amd", "npt") != "N":
        raise Unavailable("needs a lab with --kvm-param kvm-amd.npt=0")
    r.tap.ok(kvm.loaded() == "patched", "KVM is that of patches/linux")
    options.refused(r, "dirty-tracking=wp-all", ("wp-all", "TDP MMU"))
    for option, backend, features in SHOWN:
        answer = options.shown(r, option, backend, size_of(option))
        r.tap.ok(set(answer["features"]) == features,
                 f"{option or 'default'}: features in use",
                 str(answer["features"]))


def size_of(option):
    return int(option.rpartition("size=")[2]) if "size=" in option else 0


if __name__ == "__main__":
    sys.exit(rig.main("shadow page tables", scenario, __doc__))
