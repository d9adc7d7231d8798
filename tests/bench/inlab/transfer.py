# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows heavy, mid, sparse: a live migration of a guest that writes; the same
on KVM with patches/linux; and watched, with clients that look on."""

from dirtylab import migrate
from dirtylab.errors import LabError

import machine
import timeline
import trace
import watcher

MEM = 768           # MiB
LOAD_MIB = 256
INTERVAL = 25       # ms between two lines of the load
WARM = 1.5          # seconds of the load before the migration
RATES = {"heavy": 0, "mid": 20000, "sparse": 500, "watched": 0}
WATCHED = "-watched"


def run(lab, job):
    for turn in job["rounds"]:
        for who, config in job["members"]:
            yield who, config, turn, once(lab, job["row"], who, config)


def once(lab, row, who, config):
    rate = RATES[row.removesuffix("-patched")]
    load = f"mib={LOAD_MIB},rate={rate},interval={INTERVAL}"
    spec = machine.spec(who, config.removesuffix(WATCHED),
                        ["global_dirty_changed"], mem=MEM, load=load)
    watchers = watcher.Watchers(watcher.CLIENTS if config.endswith(WATCHED)
                                else 0)
    src = machine.booted(lab, spec.replace(
        args=spec.args + watchers.options()))
    dst = lab.start(spec, incoming=True)
    have = len(src.console.samples)
    src.run_for(WARM)
    before = timeline.rate(src.console.samples[have:])
    with watchers:
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
        "asked": watchers.asked(result.total_ms / 1000),
        "tracking": result.tracking.raw,
        "series": timeline.series(
            timeline.written(src.console.samples, result.began, before=8)),
    }
    lab.drop(src)
    lab.drop(dst)
    return found


def log_start(vm):
    """When tracking began. Untracked, a guest writes hundreds of times as
    much: a tenth of a second of that would drown all that follows."""
    for event in trace.read(vm, {"global_dirty_changed"}):
        return trace.monotonic(event.t)
    raise LabError("QEMU traced no start of dirty tracking")
