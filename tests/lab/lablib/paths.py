# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are on this machine."""

import os
from pathlib import Path

from labkernel.paths import (  # noqa: F401
    BUILD, DEBUG_KERNEL, KERNEL, LAB, LINUX_PATCHES, NEWEST_KERNEL, PATCHED_KVM, TOP)

from .errors import LabError

LAB_SRC = TOP / 'tests' / 'lab'
# What is in /opt/lab: programs from these places, and packages.
DRIVERS = [TOP / 'tests' / name for name in ('scenarios', 'demo', 'lib')]
PACKAGES = [TOP / 'tests' / 'lib' / 'dirtylab', TOP / 'scripts' / 'migration_report']

# --linux NAME: what L1 boots, and where in L1 its modules are.
KERNELS = {'6.12': KERNEL, 'newest': NEWEST_KERNEL}
MODULES = {'6.12': '/lib/modules/lab', 'newest': '/lib/modules/newest'}

UPSTREAM_QEMU = BUILD / 'upstream' / 'qemu-system-x86_64'
FIRMWARE_DIRS = [Path(d) for d in ('/usr/share/seabios', '/usr/share/qemu',
                                   '/usr/lib/ipxe/qemu')]


def qemu():
    """Our QEMU: the one to be tested."""
    path = BUILD / 'qemu' / 'qemu-system-x86_64'
    if not path.is_file():
        raise LabError(f'{path} is not there; build it first: ./configure && make')
    return path


def outer_qemu():
    """The emulator that plays the KVM host."""
    override = os.environ.get('QEMU_OUTER')
    if not override:
        return qemu()
    path = Path(override)
    if not os.access(path, os.X_OK):
        raise LabError(f'QEMU_OUTER={override}: no such program')
    return path


def qemu_python():
    """Directory that holds QEMU's Python package 'qemu'."""
    source = Path(os.environ.get('QEMU_SRC') or BUILD / 'qemu-src')
    path = source / 'python'
    if not (path / 'qemu' / 'qmp').is_dir():
        raise LabError(f'{path}/qemu/qmp is not there; run ./configure first')
    return path


def firmware(name):
    for where in FIRMWARE_DIRS:
        if (where / name).is_file():
            return where / name
    raise LabError(f'firmware file {name} is in none of '
                   f'{", ".join(map(str, FIRMWARE_DIRS))}; install the Debian '
                   'packages seabios, qemu-system-data and ipxe-qemu')
