#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Migrations between KVM with patches/linux and KVM without, both ways, with
every backend.

One guest goes from host to host.  There is one host only, so the stream is
written to a file while the guest runs, and the host gets its other modules
before it is read; the source's memory is kept for the comparison.
"""

import os
import sys
import time

from dirtylab import kvm, migrate, oracle, rig, trial
from dirtylab.errors import LabError
import kernel
import rates

# Which KVM, and what QEMU tracks with there; each goes to the next.
STOPS = (
    ("patched", "log", 0),
    ("stock", "ring", 4096),
    ("patched", "ring", 1024),
    ("stock", "log", 0),
    ("patched", "wp-all", 0),
    ("stock", "ring", 1024),
)


def features(r, which, backend, name):
    found = set(r.query()["features"])
    wanted = set()
    if which == "patched" and backend != "log":
        wanted = {"write-protect-all"} if backend == "wp-all" \
            else kernel.FEATURES
    r.tap.ok(found == wanted, f"{name}: features in use", str(found))


def stream(r, name, backend):
    """Send the running guest to a file. Returns its path, the source's memory
    and the source, which has ended."""
    src = r.vm
    path = src.ram + ".stream"
    options = migrate.Options(passes=8)
    src.run_for(0.5)
    result = migrate.send(src, f"file:{path}", options)
    t = result.tracking
    r.tap.note(f"{name}: {t.backend}, {result.total_ms} ms, "
               f"{result.sent >> 20} MiB, {result.passes} passes, harvested "
               f"{t.harvested}, memory protected at once {t.protections} times")
    r.tap.ok(t.backend == backend, f"{name}: backend is {backend}", str(t.raw))
    r.tap.ok(result.passes > 2, f"{name}: the guest wrote meanwhile",
             f"{result.passes} passes")
    if backend == "wp-all":
        r.tap.ok(t.protections > 1,
                 f"{name}: memory was protected at once", str(t.raw))
    kept = src.ram + ".kept"
    os.link(src.ram, kept)
    r.discard()
    return path, kept, src


def hop(r, start, end):
    (first, backend, _), (second, new_backend, size) = start, end
    name = f"{backend} on {first} to {second}"
    spec = r.vm.spec.replace(accel=r.accel(new_backend, size))
    path, kept, src = stream(r, name, backend)
    try:
        kvm.load(second)
        r.tap.ok(kvm.loaded() == second, f"{name}: the host has changed",
                 str(kvm.loaded()))
        r.vm = r.lab.start(spec, incoming=True)
        migrate.receive(r.vm, f"file:{path}", migrate.Options())
        done = trial.Trial(migrate.Result(), oracle.compare(kept, r.vm.ram))
    finally:
        os.unlink(path)
        os.unlink(kept)
    if not r.check_memory(name, done):
        raise LabError(f"{name}: the guest cannot be continued")
    trial.goes_on(src, r.vm, done, 0.5)
    r.check_guest(name, done)
    features(r, second, new_backend, name)


def scenario(r):
    r.need_kvm()
    was = kvm.loaded()
    began = time.monotonic()
    which, backend, size = STOPS[0]
    r.discard()
    kvm.load(which)
    try:
        rates.guest(r, backend, size, 1, 20000)
        features(r, which, backend, "at first")
        for start, end in zip(STOPS, STOPS[1:]):
            hop(r, start, end)
    finally:
        r.discard()
        kvm.load(was)
    r.tap.note(f"{len(STOPS) - 1} hops in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(rig.main("stock and patched KVM", scenario, __doc__))
