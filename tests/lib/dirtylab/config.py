# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are, and the options all drivers share."""

import argparse
import os

from .errors import LabError
from .vm import Spec

QEMU = os.environ.get("DIRTYLAB_QEMU", "/opt/qemu/bin/qemu-system-x86_64")
UPSTREAM = os.environ.get("DIRTYLAB_UPSTREAM",
                          "/opt/upstream/bin/qemu-system-x86_64")
GUEST = os.environ.get("DIRTYLAB_GUEST", "/opt/guest")
ACCEL = os.environ.get("DIRTYLAB_ACCEL", "kvm")

RING = "dirty-ring-size=4096"


def parser(description, **kw):
    """An argument parser with the options every driver has."""
    p = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter, **kw)
    p.add_argument("--qemu", default=QEMU, metavar="PATH",
                   help="the QEMU to test")
    p.add_argument("--guest", default=GUEST, metavar="DIR",
                   help="directory with the guest's vmlinuz and initrd")
    p.add_argument("--keep", action="store_true",
                   help="keep consoles, traces and QEMU's messages")
    return p


def spec(args, **changes):
    """A machine from parsed options; says so when something is missing."""
    kernel = os.path.join(args.guest, "vmlinuz")
    initrd = os.path.join(args.guest, "initrd")
    for path, what in ((args.qemu, "QEMU"), (kernel, "guest kernel"),
                       (initrd, "guest initrd")):
        if not os.path.exists(path):
            raise LabError(f"{what} not found: {path}")
    values = dict(qemu=args.qemu, kernel=kernel, initrd=initrd)
    values.update(changes)
    return Spec(**values)


def accel(backend, size=4096, base=None):
    """What follows -accel for a backend. The bitmap is what every QEMU uses
    when no ring is asked for, so this works for upstream as well."""
    base = base or ACCEL
    if base != "kvm" or backend == "log":
        return base
    if backend == "wp-all":
        return f"{base},dirty-tracking=wp-all"
    return f"{base},dirty-ring-size={size}"
