# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds what is to be measured."""

import subprocess
import sys

from . import paths
from .errors import BenchError


def run(command, what):
    done = subprocess.run(command, cwd=paths.TOP, check=False)
    if done.returncode:
        raise BenchError(f"{what}: {' '.join(map(str, command))} failed")


def ninja(*targets):
    if not (paths.BUILD / "build.ninja").is_file():
        run(["./configure"], "configuring")
    run(["ninja", "--quiet", "-C", str(paths.BUILD), *targets], "building")


def known(target):
    return subprocess.run(["ninja", "-C", str(paths.BUILD), "-t", "query",
                           target], capture_output=True,
                          check=False).returncode == 0


def ensure_kvm(row):
    """Our KVM and the kernel's programs, for a row that wants them. They say
    themselves whether there is something to do."""
    if row.patched:
        run([sys.executable, "scripts/kvm_modules.py"], "building KVM")
    if row.selftests:
        run([sys.executable, "scripts/kvm_selftests.py"], "building tests")


def ensure(update):
    """Both QEMUs. Ours is brought up to date, unless `update` is false and
    there is one."""
    if update or not paths.QEMU["ours"].is_file():
        ninja()
    # Not built by default, being only for this.
    relative = str(paths.NATIVE.relative_to(paths.BUILD))
    if update and known(relative):
        ninja(relative)
    if not paths.QEMU["upstream"].is_file():
        print("building upstream's QEMU, once (minutes)", flush=True)
        ninja("upstream")
