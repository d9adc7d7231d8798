# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows heavy, mid, sparse: a live migration of a guest that writes; the same
on KVM with patches/linux."""

from dirtylab import migrate
from dirtylab.errors import LabError

import machine
import timeline
import trace

MEM = 768           # MiB
LOAD_MIB = 256
INTERVAL = 25       # ms between two lines of the load
WARM = 1.5          # seconds of the load before the migration
RATES = {"heavy": 0, "mid": 20000, "sparse": 500}


def run(lab, job):
    for turn in job["rounds"]:
        for who, config in job["members"]:
            yield who, config, turn, once(lab, job["row"], who, config)


def machine_spec(who, config, rate):
    """Of a guest with the load of these rows, and what log_start needs."""
    return machine.spec(who, config, [trace.CHANGED], mem=MEM,
                        load=f"mib={LOAD_MIB},rate={rate},interval={INTERVAL}")


def once(lab, row, who, config):
    spec = machine_spec(who, config, RATES[row.removesuffix("-patched")])
    src = machine.booted(lab, spec)
    dst = lab.start(spec, incoming=True)
    have = len(src.console.samples)
    src.run_for(WARM)
    before = timeline.rate(src.console.samples[have:])
    result = migrate.migrate(src, dst, migrate.Options(timeout=240))
    if src.console.corrupt:
        raise LabError("the guest lost a page: " + src.console.corrupt[0])
    found = {
        "total-ms": result.total_ms,
        "downtime-ms": result.downtime_ms,
        "setup-ms": result.setup_ms,
        "sent-bytes": result.sent,
        "syncs": result.passes,
        "ring-full": result.tracking.ring_full or 0,
        "writes-before": before,
        "writes-during": timeline.rate(
            timeline.written(src.console.samples, log_start(src))),
        "writes-command": timeline.rate(
            timeline.written(src.console.samples, result.began)),
        "pause-ms": timeline.pause(
            timeline.written(src.console.samples, result.began, before=1)),
        "forced": int(result.forced),
        "backend": result.tracking.backend,
        "tracking": result.tracking.raw,
        "series": timeline.series(
            timeline.written(src.console.samples, result.began, before=8)),
    }
    lab.drop(src)
    lab.drop(dst)
    return found


def log_start(vm, position=0):
    """When tracking began, after that place in the trace. Untracked, a guest
    writes hundreds of times as much: a tenth of a second of that would drown
    all that follows."""
    for event in trace.read(vm, {trace.CHANGED}, position):
        return trace.monotonic(event.t)
    raise LabError("QEMU traced no start of dirty tracking")
