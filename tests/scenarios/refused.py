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
# Which request is refused: there are slots before it and many after it, and
# the load writes to nearly all of memory.
WHICH = 5
LOAD = "mib=160,rate=8000"


def refusing(r, backend):
    """A guest whose QEMU meets a refusal."""
    if not os.path.exists(PRELOAD):
        raise Unavailable(f"{PRELOAD} is not there")
    r.discard()
    return r.guest(backend, load=LOAD, maxcpus=0, vga=False, shared_bar=0,
                   env=(("LD_PRELOAD", PRELOAD), ("REFUSE_LOG", str(WHICH))))


def migrate(r, name):
    """To a destination that meets none."""
    vm = r.vm
    dst = r.lab.start(vm.spec.replace(env=()), incoming=True)
    r.migrate(name, dst=dst)
    said = vm.stderr()
    r.tap.ok(said.count("refuse-log: ") == 1,
             f"{name}: one request was refused", said)
    r.tap.ok("is not logged" in said and "abort" not in said.lower(),
             f"{name}: QEMU reports it and goes on", said)


def told(r, name):
    event = r.vm.qmp.wait_event("DIRTY_TRACKING_FALLBACK", 30)
    r.tap.ok("refused" in event["data"]["reason"], f"{name}: an event says so",
             str(event))


def measured(r, backend, mode):
    """Somebody else had all slots logged before migration came."""
    name = f"{backend}, dirty rate first"
    refusing(r, backend)
    dirtyrate.start(r.vm, mode, seconds=60)
    told(r, name)
    migrate(r, name)


def migrated(r, backend):
    name = f"{backend}, migration alone"
    refusing(r, backend)
    migrate(r, name)


def scenario(r):
    r.need_kvm()
    measured(r, "ring", "dirty-ring")
    measured(r, "log", "dirty-bitmap")
    migrated(r, "ring")


if __name__ == "__main__":
    sys.exit(rig.main("refused slots", scenario, __doc__))
