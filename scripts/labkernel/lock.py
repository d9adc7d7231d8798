# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may write to build/lab."""

import fcntl
from contextlib import contextmanager

from . import paths


@contextmanager
def locked():
    """Two runs that start together must not both fetch and build."""
    paths.LAB.mkdir(parents=True, exist_ok=True)
    with open(paths.LAB / 'lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
