# SPDX-License-Identifier: GPL-2.0-or-later
"""Plugging vCPUs in and out of a running guest."""

import time

from . import patience
from .errors import LabError, Timeout
from .guest import background

ID = "hot1"
EJECTED = {"slot-type": "CPU", "source": 3, "status": 0}    # ACPI's _OST


def slot(vm):
    """The device arguments of the first vCPU that is not there yet."""
    for entry in vm.qmp.cmd("query-hotpluggable-cpus"):
        if "qom-path" not in entry:
            return {"driver": entry["type"], "id": ID, **entry["props"]}
    raise LabError(f"{vm.name}: no vCPU left to plug")


def _wait_online(vm, expected, timeout):
    end = time.monotonic() + patience.seconds(timeout)
    while True:
        online = vm.shell().run("cat /sys/devices/system/cpu/online")[1]
        online = online.strip()
        if online == expected:
            return
        if time.monotonic() > end:
            log = vm.shell().run("ls /sys/devices/system/cpu; dmesg | tail")
            raise Timeout(f"the guest's vCPUs are {online}, not {expected}, "
                          f"after {timeout} s; in the guest: {log[1]}")
        vm.console.poll()
        time.sleep(0.2)


def plug(vm, timeout=30):
    """Add the second vCPU and wait until the guest uses it."""
    args = slot(vm)
    vm.qmp.cmd("device_add", args)
    # For -device on a destination, which must have it from the start.
    vm.plugged = [",".join([args["driver"]] + [
        f"{k}={v}" for k, v in args.items() if k != "driver"])]
    _wait_online(vm, "0-1", timeout)


def unplug(vm, timeout=30):
    """Have the guest give the second vCPU back."""
    vm.qmp.cmd("device_del", {"id": ID})
    vm.qmp.wait_event("DEVICE_DELETED", timeout,
                      lambda e: e["data"].get("device") == ID)
    # The guest looks once more whether it is gone: one that is plugged before
    # counts as never ejected, and stays offline.
    vm.qmp.wait_event("ACPI_DEVICE_OST", timeout,
                      lambda e: EJECTED.items() <= e["data"]["info"].items())
    vm.plugged = []
    _wait_online(vm, "0", timeout)


def load(vm, mib=16, rate=10000):
    """A second load, one thread to each of the two vCPUs."""
    vm.shell().run(background(f"dirtyload threads=2,mib={mib},rate={rate} "
                              ">/dev/null 2>&1", "/hotload"))


def unload(vm):
    vm.shell().run("kill $(cat /hotload); rm -f /hotload; true")
