# SPDX-License-Identifier: GPL-2.0-or-later
"""Waiting, with patience for busy machines."""

import time

from dirtylab.errors import Timeout


def wait(what, condition, timeout=120, pause=0.3):
    """Poll until `condition()` is true; returns what it then is."""
    end = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise Timeout(f"{what}: not within {timeout} s")
        time.sleep(pause)
