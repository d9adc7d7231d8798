# SPDX-License-Identifier: GPL-2.0-or-later
"""The machines the rows measure: alike but for the QEMU and its tracking."""

import argparse

from dirtylab import config as paths

# The build for tests recounts all of dirty memory at each sync; the one that is
# installed does not.
ARGS = {"upstream": (),
        "ours": ("-global", "migration.x-dirty-summary-check=off")}
# What ours takes by itself depends on the kernel.
PAGE_BY_PAGE = {("ours", "bitmap"): ",dirty-tracking=log"}
QEMU = {"upstream": paths.UPSTREAM, "ours": paths.QEMU}

# Boots take most of the time, and a busy host makes them slow.
BOOT_TIMEOUT = 240


def accel(name):
    """What follows -accel for "bitmap" or "ring-ENTRIES", upstream's options,
    so that both QEMUs get the same; and for "wp-all", which only ours has."""
    if name == "bitmap":
        return "kvm"
    if name == "wp-all":
        return paths.accel(name)
    kind, _, size = name.partition("-")
    if kind != "ring" or not size.isdigit():
        raise ValueError(f"{name}: no such configuration")
    return f"kvm,dirty-ring-size={size}"


def spec(who, config, trace=(), **changes):
    """A machine whose memory is private, as it is in production, and whose
    trace log has microseconds and threads."""
    args = [*ARGS[who], "-msg", "timestamp=on"]
    for event in trace:
        args += ["-trace", f"enable={event}"]
    where = argparse.Namespace(qemu=QEMU[who], guest=paths.GUEST)
    chosen = accel(config) + PAGE_BY_PAGE.get((who, config), "")
    made = paths.spec(where, accel=chosen, ram="private", **changes)
    return made.replace(args=tuple(args))


def booted(lab, machine):
    vm = lab.start(machine)
    if machine.load:
        vm.wait_load(timeout=BOOT_TIMEOUT)
    else:
        vm.wait_shell(timeout=BOOT_TIMEOUT)
    return vm
