#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Oracle migrations of guests whose memory is in huge pages, on KVM with
patches/linux: logging has to split them, at once or when they are written."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

from dirtylab import kvm, migrate, rig
from dirtylab.errors import LabError, Unavailable
import kernel

BACKENDS = (("log", 0), ("ring", 4096), ("wp-all", 0))
MEM = 384
HUGE = 2 << 20
RESERVED = Path("/proc/sys/vm/nr_hugepages")
DEBUG = Path("/sys/kernel/debug")
SPLIT = Path("/sys/module/kvm/parameters/eager_page_split")


def mount(kind, where, options):
    if not os.path.ismount(where):
        os.makedirs(where, exist_ok=True)
        command = ["mount", "-t", kind, "-o", options, kind, where]
        done = subprocess.run(command, capture_output=True, text=True,
                              check=False)
        if done.returncode:
            raise LabError(f"mounting {kind} on {where}: {done.stderr}")


def hugetlb():
    """Source and destination at a time, and a third that is not gone yet."""
    pages = 3 * MEM * (1 << 20) // HUGE
    RESERVED.write_text(str(pages), "ascii")
    if int(RESERVED.read_text("ascii")) < pages:
        raise LabError(f"{pages} huge pages were wanted, there are "
                       + RESERVED.read_text("ascii"))
    # With a size it tells how much room there is.
    mount("hugetlbfs", "/tmp/hugetlb", f"pagesize=2M,size={3 * MEM}M")
    return "/tmp/hugetlb"


def thp():
    mount("tmpfs", "/tmp/thp", "huge=always,size=75%")
    return "/tmp/thp"


def mapped(vm):
    """Pages that KVM maps for this machine: {"4k": n, "2m": n}"""
    found = list(DEBUG.glob(f"kvm/{vm.proc.pid}-*"))
    if len(found) != 1:
        raise LabError(f"{DEBUG}/kvm/{vm.proc.pid}-*: {found}")
    return {size: int((found[0] / f"pages_{size}").read_text("ascii"))
            for size in ("4k", "2m")}


def trips(r, name, where, backend, size):
    r.discard()
    r.guest(backend, size, mem=MEM, maxcpus=0, vga=False, shared_bar=0,
            load="mib=96", ram_dir=where)
    for number in (1, 2):
        before = mapped(r.vm)
        r.tap.ok(before["2m"] > 0, f"{name} ({number}): huge pages are mapped",
                 str(before))
        split = {}

        def look(_):
            split.update(mapped(r.vm))

        done = r.migrate(f"{name} ({number})", migrate.Options(passes=8),
                         warm=0.5, during=look)
        r.check_harvest(f"{name} ({number})", done, backend)
        r.tap.note(f"mapped: {before}, at the end {split}")


def scenario(r):
    if os.environ.get("LAB_WHERE") != "nested":
        raise Unavailable("changes the host's settings: an emulated one only")
    if not kernel.patched(r):
        return
    mount("debugfs", str(DEBUG), "rw")
    was = kvm.parameter("kvm", "eager_page_split")
    places = (("hugetlb", hugetlb()), ("THP", thp()))
    try:
        for (kind, where), split, (backend, size) in itertools.product(
                places, "YN", BACKENDS):
            SPLIT.write_text(split, "ascii")
            how = "at once" if split == "Y" else "when written"
            trips(r, f"{backend} {size or ''} on {kind}, split {how}", where,
                  backend, size)
    except Unavailable as err:
        # All that is needed has been set up above.
        raise LabError(str(err)) from err
    finally:
        SPLIT.write_text(was, "ascii")
        r.discard()
        RESERVED.write_text("0", "ascii")


if __name__ == "__main__":
    sys.exit(rig.main("huge pages", scenario, __doc__))
