# SPDX-License-Identifier: GPL-2.0-or-later
"""What a QEMU tells of its dirty tracking.

Ours has a monitor command for it.  For one that has not, the trace log gives
the few figures that can be had that way.
"""

import dataclasses
import re

COMMAND = "query-dirty-tracking"
REAPED = re.compile(r"kvm_dirty_ring_reap reaped ([0-9]+) pages")


@dataclasses.dataclass
class Tracking:
    backend: str = "?"
    ring_full: int | None = None
    harvested: int | None = None
    syncs: int | None = None
    raw: dict | None = None         # the monitor's answer, when there is one

    @property
    def protections(self):
        """How often all memory was write-protected at once."""
        return self.raw["ioctls"]["write-protect-all"]["count"]


def _from_trace(vm):
    result = Tracking(ring_full=0, harvested=0, syncs=0)
    try:
        with open(vm.trace_path, errors="replace") as f:
            for line in f:
                if "kvm_dirty_ring_full " in line:
                    result.ring_full += 1
                elif "kvm_dirty_ring_flush 0" in line:
                    result.syncs += 1
                else:
                    found = REAPED.search(line)
                    if found:
                        result.harvested += int(found[1])
    except FileNotFoundError:
        pass
    return result


def flushes(vm):
    """How often all rings were emptied for a sync, by the trace log: the
    counter of syncs does not tell. Of a machine that is gone, too."""
    return _from_trace(vm).syncs


def traced(vm, event):
    """How often the trace log has that event, which must be on."""
    with open(vm.trace_path, errors="replace", encoding="utf-8") as f:
        return sum(f"{event} " in line for line in f)


def unprepared(vm):
    """How many syncs were not preceded by the work that needs no BQL; the
    event kvm_dirty_presync must be on."""
    count, ready = 0, False
    with open(vm.trace_path, errors="replace", encoding="utf-8") as f:
        for line in f:
            if "kvm_dirty_presync 1" in line:
                ready = True
            elif "kvm_dirty_ring_flush 0" in line:
                count += not ready
                ready = False
    return count


def has_ring(accel):
    found = re.search(r"dirty-ring-size=([^,]+)", accel)
    return bool(found) and found[1] != "0"


def query(vm):
    """The monitor's own account, or None when this QEMU has none."""
    return vm.qmp.cmd(COMMAND).get("kvm") if vm.qmp.has(COMMAND) else None


def tracking(vm):
    """The counters of a running machine, since it was started."""
    raw = query(vm)
    if raw:
        ring = raw.get("ring", {})
        return Tracking(backend=raw["backend"], syncs=raw["syncs"],
                        ring_full=ring.get("full-exits"),
                        harvested=ring.get("harvested-pages"), raw=raw)
    if vm.spec.accel_name != "kvm":
        return Tracking(backend=vm.spec.accel_name)
    if not has_ring(vm.spec.accel):
        return Tracking(backend="log")
    result = _from_trace(vm)
    result.backend = "ring"
    return result


def reaper_switches(vm):
    """{thread: voluntary context switches} of the reaper: how often it went
    to sleep, by the kernel's account."""
    found = {}
    for name, tasks in vm.threads().items():
        if "reap" not in name:
            continue
        for task in tasks:
            with open(f"{task}/status", encoding="utf-8") as f:
                for line in f:
                    if line.startswith("voluntary_ctxt_switches"):
                        found[int(task.rpartition("/")[2])] = \
                            int(line.split()[1])
    return found
