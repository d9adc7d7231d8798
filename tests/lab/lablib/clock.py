# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast the time stamp counter runs."""

import subprocess
from functools import lru_cache

from . import compile as build
from . import paths

ICOUNT_KHZ = 1000000    # there an instruction takes a nanosecond


@lru_cache(maxsize=None)
def tsc_khz(icount=False):
    """What L1, and its guests, see: a busy machine's calibration is not to be trusted."""
    if icount:
        return ICOUNT_KHZ
    program = build.static('tsc-khz', [paths.LAB_SRC / 'l1' / 'tsc-khz.c'])
    return int(subprocess.run([program], stdout=subprocess.PIPE, check=True).stdout)
