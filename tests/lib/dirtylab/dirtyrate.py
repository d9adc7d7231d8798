# SPDX-License-Identifier: GPL-2.0-or-later
"""Dirty rates as QEMU measures them."""

import time

from . import patience
from .errors import LabError


def start(vm, mode, seconds=1):
    vm.qmp.cmd("calc-dirty-rate", {"calc-time": seconds, "mode": mode})


def result(vm, timeout=30):
    end = time.monotonic() + patience.seconds(timeout)
    while True:
        vm.console.poll()
        answer = vm.qmp.cmd("query-dirty-rate")
        if answer["status"] == "measured":
            return answer
        if time.monotonic() > end:
            raise LabError(f"dirty rate still {answer['status']} after "
                           f"{timeout} s")
        time.sleep(0.1)


def measure(vm, mode, seconds=1):
    """Measure and return QEMU's answer; dirty-rate is in MB/s."""
    start(vm, mode, seconds)
    return result(vm, timeout=seconds + 30)
