#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Build a small kernel with patches/linux that looks for mistakes.

Lock order, RCU, sleeping where one must not, KVM's page tables: see
debug-kernel.config.  KVM is built in.  'tests/lab/run --kernel
build/lab/kernel-debug' boots it.  Some ten minutes on two cores, then what
changed.
"""

import os
import shutil

import linux_source
from common import ROOT, Failure, build_environment, build_lock, logged, \
    main, read_json, say, sha256, write_json
from labkernel import paths, patched
from linux_tree import Tree, arguments, carry_out, counted, parsed

CONFIG = os.path.join(ROOT, "scripts", "debug-kernel.config")
OUT = paths.DEBUG_KERNEL
OBJECTS = os.path.join(linux_source.LINUX, "debug")
TREE = Tree("debug-src", whole=True)


def make(*targets):
    env = build_environment()
    ccache = shutil.which("ccache")
    logged(["env", "-i", f"PATH={os.environ['PATH']}", "LC_ALL=C",
            f"CCACHE_DIR={env['CCACHE_DIR']}",
            "make", "-C", TREE.path, f"O={OBJECTS}", "RUSTC=false",
            f"CC={'ccache ' if ccache else ''}gcc",
            f"-j{len(os.sched_getaffinity(0))}", *targets], "debug-kernel.log")


def configure():
    os.makedirs(OBJECTS, exist_ok=True)
    make("tinyconfig")
    with open(os.path.join(OBJECTS, ".config"), "a", encoding="utf-8") as out, \
            open(CONFIG, encoding="utf-8") as wanted:
        out.write(wanted.read())
    make("olddefconfig")
    with open(os.path.join(OBJECTS, ".config"), encoding="utf-8") as result, \
            open(CONFIG, encoding="utf-8") as wanted:
        have = set(result)
        lost = [line.strip() for line in wanted
                if line.startswith("CONFIG_") and line not in have]
    if lost:
        raise Failure("options that this kernel does not take so: "
                      + ", ".join(lost) + f"\n  (from {CONFIG})")


def run():
    carry_out(parsed(arguments("Builds a debugging kernel for the lab.",
                               "it goes", OUT)), build)


def build(args, patches, _, version):
    want = {"version": version, "patches": patched.digest(patches),
            "config": sha256(CONFIG)}
    stamp = os.path.join(args.out, patched.STAMP)
    with build_lock("debug kernel", "debug-kernel"):
        if read_json(stamp) == want:
            say(f"Up to date: {os.path.relpath(args.out)}")
            return
        with build_lock("debug kernel", "kvm"):
            TREE.sync(patches)
        if (read_json(os.path.join(OBJECTS, "config.json")) !=
                [want["version"], want["config"]]):
            configure()
            write_json(os.path.join(OBJECTS, "config.json"),
                       [want["version"], want["config"]])
        say("Compiling a debugging kernel (log: build/logs/debug-kernel.log)")
        make("vmlinux")
        shutil.rmtree(args.out, ignore_errors=True)
        os.makedirs(args.out)
        for name in ("vmlinux", ".config"):
            shutil.copy(os.path.join(OBJECTS, name),
                        os.path.join(args.out, name.lstrip(".")))
        write_json(stamp, want)
    say(f"Built {os.path.relpath(args.out)}/vmlinux with {counted(patches)}")


if __name__ == "__main__":
    main(run)
