# SPDX-License-Identifier: GPL-2.0-or-later
"""Plugging memory in and out of a running guest: one DIMM, whose memory is a
file that can be compared.

The guest needs ONLINE on its command line: it then uses the memory at once, for
what can be moved away when the DIMM is unplugged.
"""

from . import devices
from .guest import background

ID = "dimm1"
ONLINE = "memhp_default_state=online_movable"
# Linux takes memory in blocks of this size.
MIB = 128

STATES = "cat /sys/devices/system/memory/memory*/state"


def online(vm):
    """How many blocks of memory the guest uses."""
    return vm.shell().run(STATES)[1].split().count("online")


def _wait_online(vm, expected, timeout):
    devices.wait_online(vm, "blocks of memory", online, expected, timeout)


def plug(vm, timeout=60):
    """Add the DIMM and wait until the guest uses it."""
    before = online(vm)
    path = vm.add_dimm(ID, MIB)
    vm.qmp.cmd("object-add", {
        "qom-type": "memory-backend-file", "id": f"{ID}-mem", "share": True,
        "size": MIB << 20, "mem-path": path})
    vm.qmp.cmd("device_add", {"driver": "pc-dimm", "id": ID,
                              "memdev": f"{ID}-mem"})
    _wait_online(vm, before + 1, timeout)


def unplug(vm, timeout=90):
    """Have the guest give the DIMM back."""
    before = online(vm)
    devices.remove(vm, ID, timeout)
    vm.qmp.cmd("object-del", {"id": f"{ID}-mem"})
    vm.remove_dimm(ID)
    _wait_online(vm, before - 1, timeout)


def load(vm, mib=16, rate=1000):
    """A load in its memory, where the guest puts what it can move."""
    vm.shell().run(background(f"dirtyload threads=1,mib={mib},rate={rate} "
                              ">/dev/null 2>&1", "/dimmload"))


def unload(vm):
    vm.shell().run("kill $(cat /dimmload); rm -f /dimmload; true")
