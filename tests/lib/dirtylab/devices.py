# SPDX-License-Identifier: GPL-2.0-or-later
"""What plugging vCPUs and plugging memory have in common."""

import time

from . import patience
from .errors import Timeout


def wait_online(vm, what, online, expected, timeout, log="dmesg | tail"):
    """Wait until the guest uses what is `expected`, by online(vm)."""
    end = time.monotonic() + patience.seconds(timeout)
    while True:
        found = online(vm)
        if found == expected:
            return
        if time.monotonic() > end:
            raise Timeout(f"the guest's {what} are {found}, not {expected}, "
                          f"after {timeout} s; in the guest: "
                          f"{vm.shell().run(log)[1]}")
        vm.console.poll()
        time.sleep(0.2)


def remove(vm, device, timeout):
    """Have the guest give a device back."""
    vm.qmp.cmd("device_del", {"id": device})
    vm.qmp.wait_event("DEVICE_DELETED", timeout,
                      lambda e: e["data"].get("device") == device)
