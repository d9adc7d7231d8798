#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""KVM refuses to log a memslot, for lack of memory say: it counts as dirty in
each sync, the slots after it are logged all the same, and an event says so.

Needs refuse-log.so (tests/scenarios/refuse) beside this file: the lab's test
brings it along."""

import os
import sys

from dirtylab import dirtyrate, rig
from dirtylab.errors import Unavailable

PRELOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "refuse-log.so")
# Which request is refused.  With rings, memory is many slots: some are before
# this one, most after it, and the load writes to nearly all of them.  With the
# dirty log it is one of few.
WHICH = 5
LOAD = "mib=160,rate=8000"


def refusing(r, backend):
    """A guest whose QEMU meets a refusal."""
    if not os.path.exists(PRELOAD):
        raise Unavailable(f"{PRELOAD} is not there")
    r.discard()
    return r.guest(backend, load=LOAD, maxcpus=0, vga=False, shared_bar=0,
                   env=(("LD_PRELOAD", PRELOAD), ("REFUSE_LOG", str(WHICH))))


def migrate(r, name, before=None):
    """To a destination that meets none; returns the source's events."""
    vm = r.vm
    told = []
    dst = r.lab.start(vm.spec.replace(env=()), incoming=True)
    if before:
        before()
    r.migrate(name, dst=dst, during=lambda _: told.extend(
        vm.qmp.drain_events()))
    told.extend(vm.qmp.take_events())
    said = vm.stderr()
    r.tap.ok(said.count("refuse-log: ") == 1,
             f"{name}: one request was refused", said)
    r.tap.ok("KVM_SET_USER_MEMORY_REGION" in said and "failed, slot=" in said,
             f"{name}: QEMU reports it and goes on", said)
    return told


def check_event(r, name, event):
    r.tap.ok("refused" in event["data"]["reason"], f"{name}: an event says so",
             str(event))


def measured(r, backend, mode):
    """Somebody else had all slots logged before migration came."""
    name = f"{backend}, dirty rate first"
    refusing(r, backend)
    dirtyrate.start(r.vm, mode, seconds=60)
    check_event(r, name, r.vm.qmp.wait_event("DIRTY_TRACKING_FALLBACK", 30))

    def still():
        answer = r.vm.qmp.cmd("query-dirty-rate")
        r.tap.ok(answer["status"] == "measuring",
                 f"{name}: it is still measured", str(answer))

    migrate(r, name, still)


def migrated(r, backend):
    name = f"{backend}, migration alone"
    refusing(r, backend)
    told = [event for event in migrate(r, name)
            if event["event"] == "DIRTY_TRACKING_FALLBACK"]
    r.tap.ok(len(told) == 1, f"{name}: one event tells of it", str(told))
    for event in told:
        check_event(r, name, event)


def scenario(r):
    r.need_kvm()
    measured(r, "ring", "dirty-ring")
    measured(r, "log", "dirty-bitmap")
    migrated(r, "ring")


if __name__ == "__main__":
    sys.exit(rig.main("refused slots", scenario, __doc__))
