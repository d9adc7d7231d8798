#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the kernel's KVM selftests, with patches/linux, for the lab.

Those that the source has of PROGRAMS, for tests/scenarios/kselftest.py to run.
Static programs in build/lab/kvm-selftests ('make kvm-selftests').
"""

import os
import shutil

import linux_source
from common import build_lock, logged, main, read_json, say, write_json
from kvm_modules import TREE
from labkernel import paths, patched
from linux_tree import arguments, carry_out, parsed

OUT = paths.SELFTESTS
OBJECTS = os.path.join(linux_source.LINUX, "selftests")
DIRECTORY = "tools/testing/selftests/kvm"
PROGRAMS = ["dirty_log_perf_test", "dirty_log_test", "dirty_ring_perf_test",
            "dirty_tracking_test", "memslot_modification_stress_test"]


def sources():
    """{program: its source's name without .c}, for those that exist."""
    found = {}
    for program in PROGRAMS:
        for name in (program, f"x86_64/{program}"):
            if os.path.exists(os.path.join(TREE.path, DIRECTORY, name + ".c")):
                found[program] = name
    return found


def make(log, *args):
    # As in kvm-build: the caller's variables would mean another build.
    logged(["env", "-i", f"PATH={os.environ['PATH']}", "LC_ALL=C",
            "LDFLAGS=-static", "make", f"-j{len(os.sched_getaffinity(0))}",
            *args], log)


def run():
    carry_out(parsed(arguments("Builds the kernel's KVM selftests for the lab.",
                               "the programs go", OUT)), build)


def build(args, patches, _, version):
    out = args.out
    want = {"version": version, "patches": patched.digest(patches),
            "programs": PROGRAMS}
    stamp = os.path.join(out, patched.STAMP)
    with build_lock("kvm-selftests", "kvm"):
        if read_json(stamp) == want:
            say(f"Up to date: {os.path.relpath(out)}")
            return
        TREE.sync(patches)
        programs = sources()
        say(f"Compiling {len(programs)} of the kernel's selftests")
        make("kvm-selftests-headers.log", "-C", TREE.path, "headers")
        os.makedirs(OBJECTS, exist_ok=True)
        make("kvm-selftests.log", "-C", os.path.join(TREE.path, DIRECTORY),
             f"OUTPUT={OBJECTS}",
             *(f"{OBJECTS}/{name}" for name in programs.values()))
        shutil.rmtree(out, ignore_errors=True)
        os.makedirs(out)
        for program, name in programs.items():
            shutil.copy2(os.path.join(OBJECTS, name), os.path.join(out, program))
        write_json(stamp, want)
    say(f"Built in {os.path.relpath(out)}: {', '.join(programs)}")


if __name__ == "__main__":
    main(run)
