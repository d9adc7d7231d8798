#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Build KVM and its selftests with patches/linux-mainline, for the lab.

Modules for the newest kernel, in build/lab/kvm-mainline, and the selftests of
PROGRAMS, in build/lab/mainline-selftests: see tests/kernel/mainline.py.

That kernel is Debian 13's and this machine may be a Debian 12, whose compiler
is older.  Options that are lost by that must be some that KVM does not use.
"""

import argparse
import os
import re
import shutil
import subprocess

import linux_source
from common import Failure, build_environment, build_lock, logged, main, \
    read_json, say, write_json
from labkernel import paths, patched
from linux_tree import MAINLINE, Tree, counted, series

TREE = Tree("src", whole=True, home=linux_source.NEWEST)
OBJECTS = os.path.join(linux_source.NEWEST, "selftests")
SELFTESTS = "tools/testing/selftests/kvm"
PROGRAMS = ["dirty_log_test", "dirty_ring_reset_test"]

# What this machine's tools cannot do, and no structure depends on.
UNUSED = re.compile(r"CONFIG_(CC_HAS_\w+|RUST\w*|\w+_RUST_PHY|AMCC_QT2025_PHY|"
                    r"DRM_PANIC_SCREEN_QR_CODE|OPENSSL_\w+)=[ym]")


def make(log, *args, variables=()):
    env = build_environment()
    ccache = shutil.which("ccache")
    logged(["env", "-i", f"PATH={os.environ['PATH']}", "LC_ALL=C",
            f"CCACHE_DIR={env['CCACHE_DIR']}", *variables, "make", "-C",
            TREE.path, "RUSTC=false", f"CC={'ccache ' if ccache else ''}gcc",
            f"-j{len(os.sched_getaffinity(0))}", *args], log)


def options(config):
    with open(config, encoding="utf-8") as lines:
        return {line.strip() for line in lines
                if re.match(r"CONFIG_\w+=[ym]$", line)}


def configure(release):
    headers = linux_source.headers(release, linux_source.NEWEST)
    for name in (".config", "Module.symvers"):
        shutil.copy(os.path.join(headers, name), TREE.path)
    make("mainline-config.log", f"KERNELRELEASE={release}", "olddefconfig")
    lost = {option for option in options(os.path.join(headers, ".config")) -
            options(os.path.join(TREE.path, ".config"))
            if not UNUSED.fullmatch(option)}
    if lost:
        raise Failure("with the tools installed here these options of the "
                      f"kernel are lost: {' '.join(sorted(lost))}")


def compile_modules(release, out):
    configure(release)
    for target in (["modules_prepare"], ["M=arch/x86/kvm", "modules"]):
        make(f"mainline-{target[-1]}.log", f"KERNELRELEASE={release}", *target)
    for name in patched.BUILT:
        subprocess.run(["strip", "-d", "-o", os.path.join(out, f"{name}.ko"),
                        os.path.join(TREE.path, f"arch/x86/kvm/{name}.ko")],
                       check=True)


def compile_selftests(out):
    make("mainline-headers.log", "headers")
    os.makedirs(OBJECTS, exist_ok=True)
    make("mainline-selftests.log", "-C", SELFTESTS, f"OUTPUT={OBJECTS}",
         *(f"{OBJECTS}/{name}" for name in PROGRAMS),
         variables=["LDFLAGS=-static"])
    for name in PROGRAMS:
        shutil.copy2(os.path.join(OBJECTS, name), out)


def deliver(out, want, build):
    """What BUILD(directory) leaves in a directory, and a stamp."""
    if read_json(os.path.join(out, patched.STAMP)) == want:
        say(f"Up to date: {os.path.relpath(out)}")
        return
    say(f"Compiling {os.path.relpath(out)}")
    new = f"{out}.new"
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(new)
    build(new)
    write_json(os.path.join(new, patched.STAMP), want)
    shutil.rmtree(out, ignore_errors=True)
    os.rename(new, out)


def run():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.parse_args()
    linux_source.install_packages()
    release, version = linux_source.ensure_newest()
    patches = series(MAINLINE)
    want = {"release": release, "version": version,
            "names": [patch.name for patch in patches], "programs": PROGRAMS,
            "patches": patched.digest(patches)}
    with build_lock("mainline KVM", "kvm-mainline"):
        TREE.sync(patches)
        deliver(paths.MAINLINE_KVM, want, lambda out: compile_modules(release, out))
        deliver(paths.MAINLINE_SELFTESTS, want, compile_selftests)
    say(f"Built KVM for {release} with {counted(patches)}")


if __name__ == "__main__":
    main(run)
