# SPDX-License-Identifier: GPL-2.0-or-later
"""KVM modules of our own build, for one of the lab's kernels.

scripts/kvm_modules.py makes them, with patches/linux, for the usual one;
scripts/mainline_kvm.py, with patches/linux-mainline, for the newest.
"""

import json
import sys

from labkernel.patched import STAMP, digest, series

from . import paths
from .errors import LabError

# In loading order; what is not built here is the kernel's own.
LOADED = ('irqbypass', 'ccp', 'kvm', 'kvm-amd')


def modules(directory, linux='6.12'):
    """Files to load, in order; refuses those of another kernel."""
    stamp = read_stamp(directory)
    for name in ('kvm', 'kvm-amd'):
        if not (directory / f'{name}.ko').is_file():
            raise LabError(f'{directory}/{name}.ko is not there; build it with '
                           f'{how(directory, linux)}')
    if stamp:
        check(directory, stamp, linux)
    return [directory / f'{name}.ko' if (directory / f'{name}.ko').is_file()
            else paths.KERNELS[linux] / 'modules' / f'{name}.ko' for name in LOADED]


def how(directory, linux):
    if directory == paths.PATCHED_KVM:
        return "'make kvm-modules'"
    if linux == 'newest':
        return "'scripts/mainline_kvm.py'"
    return f"'scripts/kvm_modules.py --patches DIR --out {directory}'"


def read_stamp(directory):
    try:
        return json.loads((directory / STAMP).read_text())
    except FileNotFoundError:
        return None


def check(directory, stamp, linux):
    """Wrong modules do not load; old ones do, and would be taken for new."""
    version = (paths.KERNELS[linux] / 'version').read_text().strip()
    if stamp['version'] != version:
        raise LabError(f'{directory}: modules for Linux {stamp["version"]}, but the lab has '
                       f'{version}; build them again with {how(directory, linux)}')
    if directory == paths.PATCHED_KVM:
        warn_if_old(directory, stamp, how(directory, linux))


def warn_if_old(directory, stamp, command):
    """stamp: as read; None says nothing."""
    if stamp and stamp['patches'] != digest(series(paths.LINUX_PATCHES)):
        print(f'lab: warning: patches/linux changed since {directory} was built; '
              f'to build it again: {command}', file=sys.stderr, flush=True)
