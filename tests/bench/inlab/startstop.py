# SPDX-License-Identifier: GPL-2.0-or-later
"""Row startstop: what it costs to switch dirty logging on and off.

A migration is started, that goes nowhere, and cancelled. The log's start is
from the moment memory's dirty tracking changes to the first sync, which comes
when logging is on; its stop to the last memory slot that is updated for it. How long the guest stood still is seen
by its load, which says every 5 ms how far it is.
"""

import time

from dirtylab import migrate
from dirtylab.errors import Timeout

import discard
import machine
import timeline
import trace

SPARE = 256             # MiB that the load leaves to the guest
RATE = 500              # pages a second
INTERVAL = 5            # ms
SPAN = 1.0              # seconds that are looked at
CHANGED, SLOT = trace.CHANGED, "kvm_set_user_memory"
SYNC = "migration_bitmap_sync_start"


def run(lab, job):
    for turn in job["rounds"]:
        for who, config in job["members"]:
            yield who, config, turn, once(lab, who, config, job["gib"])


def once(lab, who, config, gib):
    touched = int(gib * 1024)
    spec = machine.spec(who, config, [CHANGED, SLOT, SYNC],
                        mem=touched + SPARE,
                        load=f"mib={touched},rate={RATE},interval={INTERVAL}")
    vm = machine.booted(lab, spec)
    sink = discard.Discard(vm.migration_path)
    try:
        vm.run_for(SPAN)
        started = time.monotonic()
        migrate.configure(vm, migrate.held())
        vm.qmp.cmd("migrate", {"uri": sink.uri})
        vm.run_for(SPAN)
        setup = vm.qmp.cmd("query-migrate").get("setup-time")
        stopped = time.monotonic()
        vm.qmp.cmd("migrate_cancel")
        wait_off(vm)
        vm.run_for(SPAN)
    finally:
        sink.close()
    start, stop = changes(trace.read(vm, {CHANGED, SLOT, SYNC}))
    samples = vm.console.samples
    lab.drop(vm)
    return {"start-us": start, "stop-us": stop, "setup-ms": setup,
            "start-pause-ms": pause(samples, started),
            "stop-pause-ms": pause(samples, stopped),
            "before-pause-ms": pause(samples, started - SPAN)}


def wait_off(vm, timeout=30):
    end = time.monotonic() + timeout
    while True:
        events = trace.read(vm, {CHANGED})
        if events and bitmask(events[-1]) == 0:
            return
        if time.monotonic() > end:
            raise Timeout(f"{vm.name}: dirty tracking is still on after "
                          f"{timeout} s")
        vm.run_for(0.1)


def bitmask(event):
    return int(event.args.split()[-1], 16)


def pause(samples, since):
    return timeline.pause(timeline.written(samples, since, since + SPAN,
                                           before=1))


def changes(events):
    """Microseconds of the log's start and of its stop."""
    took = {}
    began = on = None
    for event in events:
        if event.name == CHANGED:
            began, on = event.t, bitmask(event) != 0
        elif began is None:
            continue
        elif event.name == SYNC:
            # Slots that change later do so when it is their turn.
            took[on] = (event.t - began) * 1e6
            began = None
        elif event.t < began + SPAN:
            took[on] = (event.t - began) * 1e6
    return took.get(True), took.get(False)
