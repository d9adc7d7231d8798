#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Build QEMU: 'build.py qemu' ours, 'build.py upstream' without our patches.

With --stamp=FILE the file is touched when all is built (meson wants an
output).  Called by ninja, so it must be quick when there is nothing to do.
"""

import os
import re
import subprocess
import sys
import time

import compose
import overlay
import qemuconf
from common import BUILD, COMPOSED, LOGS, PRISTINE, QEMU_BUILD, ROOT, \
    UPSTREAM_BUILD, Failure, build_environment, build_lock, main, say, warn

# QEMU's own that we run
MIGRATION_TEST = "tests/qtest/migration-test"
MONITOR_TEST = "tests/qtest/qmp-cmd-test"
# Seconds between progress lines where the output is not a terminal.
INTERVAL = 15


def our_tests():
    """Our qtest programs, provided that a patch adds them to QEMU's build."""
    path = os.path.join(COMPOSED, "tests/qtest/meson.build")
    with open(path, encoding="utf-8") as source:
        listed = source.read()
    result = []
    for name in overlay.ours():
        program = name[:-len(".c")]
        if not re.fullmatch(r"tests/qtest/[^/]+-test\.c", name):
            continue
        if f"'{os.path.basename(program)}'" in listed:
            result.append(program)
        else:
            warn(f"{name} is not built: no patch lists "
                 f"'{os.path.basename(program)}' in tests/qtest/meson.build")
    return result


def known(build, target):
    return subprocess.run(["ninja", "-C", build, "-t", "query", target],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


def targets(build, ours):
    result = qemuconf.systems()
    if "qemu-system-x86_64" in result:
        result.append(MIGRATION_TEST)
        if ours:
            result += [MONITOR_TEST] + our_tests()
    if qemuconf.settings()["profile"] == "full" and known(build, "qemu-img"):
        result.append("qemu-img")
    return result


def ninja(build, wanted):
    """Live status on a terminal; elsewhere a line now and then, and messages."""
    command = ["ninja", "-C", build] + wanted
    env = build_environment()
    if sys.stdout.isatty():
        status = subprocess.run(command, env=env, check=False).returncode
    else:
        status = quiet_ninja(command, env, os.path.basename(build))
    if status:
        raise Failure(f"{os.path.relpath(build, ROOT)}: the build failed "
                      f"(see above, or {LOGS}/ninja-{os.path.basename(build)}.log)")


def quiet_ninja(command, env, name):
    os.makedirs(LOGS, exist_ok=True)
    last = time.monotonic()
    with open(os.path.join(LOGS, f"ninja-{name}.log"), "w",
              encoding="utf-8") as log, \
            subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, errors="replace") as process:
        configuring = False
        for line in process.stdout:
            log.write(line)
            step = re.match(r"\[(\d+)/(\d+)\] (.*)", line)
            if step:
                # Meson's hundreds of lines, when QEMU's build files changed.
                configuring = "Regenerating" in step.group(3) or \
                    "Generating build.ninja" in step.group(3)
                if configuring:
                    say(f"{name}: QEMU's build files changed, configuring again")
                elif time.monotonic() - last > INTERVAL:
                    last = time.monotonic()
                    say(f"{name}: step {step.group(1)} of {step.group(2)}")
            elif line.startswith("ninja: error") or "ERROR" in line:
                print(line, end="", flush=True)
            elif not configuring and not line.startswith("ninja: "):
                print(line, end="", flush=True)
    return process.returncode


def build_ours():
    compose.compose()
    qemuconf.configure(COMPOSED, QEMU_BUILD, ours=True)
    ninja(QEMU_BUILD, targets(QEMU_BUILD, ours=True))
    qemuconf.link_firmware(QEMU_BUILD)


def build_upstream():
    qemuconf.configure(PRISTINE, UPSTREAM_BUILD, ours=False)
    ninja(UPSTREAM_BUILD, targets(UPSTREAM_BUILD, ours=False))
    qemuconf.link_firmware(UPSTREAM_BUILD)


def run():
    what = [a for a in sys.argv[1:] if not a.startswith("--stamp=")]
    stamps = [a[len("--stamp="):] for a in sys.argv[1:] if a not in what]
    if what not in (["qemu"], ["upstream"]):
        raise Failure("usage: build.py qemu|upstream [--stamp=FILE]")
    with build_lock(f"building {what[0]}", what[0]):
        if what == ["qemu"]:
            build_ours()
        else:
            build_upstream()
    for stamp in stamps:
        with open(os.path.join(BUILD, stamp), "w", encoding="utf-8"):
            pass


if __name__ == "__main__":
    main(run)
