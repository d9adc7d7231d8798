# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the lab's kernel is, and what is built for it."""

import os
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get('DIRTYTRACK_BUILD') or TOP / 'build').resolve()
LAB = BUILD / 'lab'
KERNEL = LAB / 'kernel'
NEWEST_KERNEL = LAB / 'kernel-newest'
PATCHED_KVM = LAB / 'kvm-patched'
SELFTESTS = LAB / 'kvm-selftests'
MAINLINE_KVM = LAB / 'kvm-mainline'
MAINLINE_SELFTESTS = LAB / 'mainline-selftests'
DEBUG_KERNEL = LAB / 'kernel-debug'
LINUX_PATCHES = TOP / 'patches' / 'linux'
