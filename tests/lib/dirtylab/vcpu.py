# SPDX-License-Identifier: GPL-2.0-or-later
"""Plugging vCPUs in and out of a running guest."""

from . import devices
from .errors import LabError
from .guest import background

ID = "hot1"
EJECTED = {"slot-type": "CPU", "source": 3, "status": 0}    # ACPI's _OST


def slot(vm):
    """The device arguments of the first vCPU that is not there yet."""
    for entry in vm.qmp.cmd("query-hotpluggable-cpus"):
        if "qom-path" not in entry:
            return {"driver": entry["type"], "id": ID, **entry["props"]}
    raise LabError(f"{vm.name}: no vCPU left to plug")


def online(vm):
    """The vCPUs that the guest uses, as Linux lists them."""
    return vm.shell().run("cat /sys/devices/system/cpu/online")[1].strip()


def _wait_online(vm, expected, timeout):
    devices.wait_online(vm, "vCPUs", online, expected, timeout,
                        log="ls /sys/devices/system/cpu; dmesg | tail")


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
    devices.remove(vm, ID, timeout)
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
