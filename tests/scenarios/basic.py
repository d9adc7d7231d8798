#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The oracle migration under ring and log, with one and two guest vCPUs.

The load writes as fast as it can, so that rings fill and pages are dirtied
again and again while they are being sent.
"""

import sys

from dirtylab import rig


def one(r, backend, vcpus):
    r.guest(backend, mem=384, vcpus=vcpus, maxcpus=0, vga=False,
            shared_bar=0, load=f"threads={vcpus},mib={96 // vcpus}")
    done = r.migrate("under load", warm=1.0)
    r.check_writes("under load", done)
    if r.kvm:
        r.check_harvest("under load", done, backend)


def ring1(r):
    one(r, "ring", 1)


def ring2(r):
    one(r, "ring", 2)


def log1(r):
    one(r, "log", 1)


def log2(r):
    one(r, "log", 2)


if __name__ == "__main__":
    sys.exit(rig.main("ring, 1 vCPU", ring1, __doc__))
