#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: what is refused, and how; what the help tells; and what
the monitor says in each mode."""

import re
import subprocess
import sys

from dirtylab import rig, stats
from dirtylab.errors import LabError, Unavailable

# Option string, and what the one error line must contain, in any order.
REFUSED = (
    ("dirty-ring-size=1000",
     ("dirty-ring-size", "1000", "power of two")),
    ("dirty-ring-size=131072", ("dirty-ring-size", "131072", "65536")),
    ("dirty-ring-size=-5", ("dirty-ring-size", "-5")),
    ("dirty-ring-size=abc", ("dirty-ring-size", "abc")),
    ("dirty-tracking=foo",
     ("dirty-tracking", "foo", "auto", "ring", "log")),
    ("dirty-tracking=ring,dirty-ring-size=0", ("dirty-ring-size", "0")),
)


def qemu(r, accel, *more, timeout=60):
    argv = [r.args.qemu, "-accel", accel, "-machine", "pc", "-nodefaults",
            "-display", "none", "-S", *more]
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True,
                              timeout=timeout)
    except subprocess.TimeoutExpired as err:
        raise LabError(f"-accel {accel}: QEMU did not exit in {timeout} s: "
                       "it accepted this") from err
    except OSError as err:
        raise Unavailable(f"{r.args.qemu}: {err.strerror}") from err


def refused(r, option, words):
    name = f"-accel kvm,{option}"
    try:
        # Not waiting for long: with a good option QEMU would run for ever.
        done = qemu(r, "kvm," + option, timeout=20)
    except LabError as err:
        r.tap.ok(False, f"{name} is refused", str(err))
        return
    lines = done.stderr.strip().splitlines()
    r.tap.ok(done.returncode == 1, f"{name}: exit status 1",
             f"status {done.returncode}: {done.stderr}")
    r.tap.ok(len(lines) == 1 and all(w in lines[0] for w in words),
             f"{name}: one line with " + ", ".join(words), lines)
    r.tap.note(lines[0] if lines else "(QEMU said nothing)")


def shown(r, option, backend, size):
    """Check and return what the monitor says of a machine with that option."""
    accel = "kvm" + ("," + option if option else "")
    vm = r.lab.start(r.spec(accel=accel, mem=64, load="", vga=False,
                            shared_bar=0, maxcpus=0), paused=True)
    try:
        answer = stats.query(vm)
        r.tap.ok(answer["backend"] == backend
                 and answer.get("ring", {}).get("size", 0) == size,
                 f"-accel {accel}: backend {backend}, ring {size}",
                 str(answer))
        r.tap.note(f"{accel}: {answer}")
        return answer
    finally:
        r.lab.drop(vm)


def scenario(r):
    r.need_kvm()
    done = qemu(r, "kvm,help")
    for word in ("dirty-ring-size=", "dirty-tracking="):
        r.tap.ok(done.returncode == 0 and re.search(
            "^ *" + word, done.stdout, re.M),
            f"-accel kvm,help lists {word.rstrip('=')}",
            done.stdout + done.stderr)
    for option, words in REFUSED:
        refused(r, option, words)
    shown(r, "", "log", 0)
    shown(r, "dirty-tracking=log", "log", 0)
    shown(r, "dirty-ring-size=0", "log", 0)
    shown(r, "dirty-ring-size=4096", "ring", 4096)
    shown(r, "dirty-tracking=auto,dirty-ring-size=1024", "ring", 1024)
    shown(r, "dirty-tracking=ring,dirty-ring-size=65536", "ring", 65536)


if __name__ == "__main__":
    sys.exit(rig.main("options", scenario, __doc__))
