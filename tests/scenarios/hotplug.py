#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A vCPU is plugged, unplugged and plugged again while dirty pages are logged,
then the guest is migrated with it, and once more without it.

KVM keeps a parked vCPU and its ring; whoever starts again at entry 0 reads
entries that are not there, or waits for ones that never come.
"""

import sys

from dirtylab import dirtyrate, rig, vcpu


def keep_logging(vm, backend, on):
    """Have something log while vCPUs come and go; migration forbids it, so it
    is a dirty limit that is never reached, or a long measurement."""
    if backend != "ring":
        if on:
            dirtyrate.start(vm, "dirty-bitmap", seconds=10)
        else:
            dirtyrate.result(vm)
    elif on:
        vm.qmp.cmd("set-vcpu-dirty-limit", {"dirty-rate": 100000})
    else:
        vm.qmp.cmd("cancel-vcpu-dirty-limit")


def measure(r, what, backend):
    """Measure the dirty rate while both vCPUs write."""
    vm = r.vm
    vcpu.load(vm)
    answer = dirtyrate.measure(
        vm, "dirty-ring" if backend == "ring" else "dirty-bitmap", seconds=2)
    vcpu.unload(vm)
    r.tap.ok(answer["dirty-rate"] > 0, f"{what}: dirty rate is measured",
             str(answer))
    if backend == "ring":
        rates = {v["id"]: v["dirty-rate"] for v in answer["vcpu-dirty-rate"]}
        r.tap.ok(rates.get(1, 0) > 0,
                 f"{what}: the second vCPU's ring is read", str(rates))


def steps(r, backend):
    r.need_kvm()
    vm = r.guest(backend)
    vcpu.plug(vm)
    measure(r, "plugged", backend)

    # Unplugged with a load on it: what its ring still holds must be kept.
    vcpu.load(vm)
    keep_logging(vm, backend, True)
    vm.run_for(0.5)
    vcpu.unplug(vm)
    vcpu.plug(vm)
    vcpu.unload(vm)
    keep_logging(vm, backend, False)
    measure(r, "plugged again", backend)

    # And once more while nothing logs.
    vcpu.unplug(vm)
    vcpu.plug(vm)
    measure(r, "plugged a third time", backend)

    vcpu.load(vm)
    done = r.migrate("with the plugged vCPU", warm=0.5)
    r.check_harvest("with the plugged vCPU", done, backend)
    vm = r.vm
    vm.wait_shell()
    vcpu.unload(vm)
    vcpu.unplug(vm)
    r.migrate("without it, from where it went")
    r.vm.wait_shell()


ring, log, wp_all = rig.by_backend(steps)

if __name__ == "__main__":
    sys.exit(rig.main("vCPU hotplug", ring, __doc__))
