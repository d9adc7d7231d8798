#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the kernel's KVM selftests, with patches/linux, for the lab.

Which ones: those tests/scenarios/kselftest.py runs, as far as the source has them.
Static programs in build/lab/kvm-selftests ('make kvm-selftests').
"""

import os
import shutil
import sys

import linux_source
from common import ROOT, build_lock, logged, main, read_json, say, write_json
from kvm_modules import TREE
from lablib import paths, patched
from linux_tree import arguments, parsed, series

sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
sys.path.insert(0, os.path.join(ROOT, "tests", "scenarios"))
import kselftest     # noqa: E402

OUT = paths.LAB / "kvm-selftests"
OBJECTS = os.path.join(linux_source.LINUX, "selftests")
DIRECTORY = "tools/testing/selftests/kvm"


def sources():
    """{program: its source's name without .c}, for those that exist."""
    found = {}
    for program in sorted({c.program for c in kselftest.CHECKS.values()}):
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
    args = parsed(arguments("Builds the kernel's KVM selftests for the lab.",
                            "the programs go", OUT))
    build(args.patches, args.out)
    if args.stamp:
        args.stamp.touch()


def build(directory, out):
    patches = series(directory)
    linux_source.install_packages()
    _, version = linux_source.ensure()
    want = {"version": version, "patches": patched.digest(patches),
            "programs": sorted(c.program for c in kselftest.CHECKS.values())}
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
