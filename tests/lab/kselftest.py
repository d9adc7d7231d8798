#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own KVM selftests, in the lab.  Prints TAP.

  tests/lab/run --kvm patched --copy build/lab/kvm-selftests:/opt/kselftest \\
      -- python3 /opt/lab/kselftest.py [CHECK...]

A check is one program with its arguments.  It fails if the program does, if it
takes too long, or if the kernel warned meanwhile.  What the tree does not have
and what the kernel does not offer is skipped.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import namedtuple

from dirtylab.tap import Tap

PROGRAMS = "/opt/kselftest"
KSFT_SKIP = 4
LAST_LINES = 20

# As scripts/kvm_selftests.py builds them, from tools/testing/selftests/kvm.
# seconds: how long it may take.  mode (-M) and option come with patches: where
# the program's -h does not name them the check is skipped.  fails: the program
# is told to make a mistake, and must find it in one of so many runs, as the
# guest has to write at the right moment.
Check = namedtuple("Check", "program args seconds mode option fails",
                   defaults=("", 120, None, None, 0))

QUICK = "-i 3 -I 50"

CHECKS = {
    "dirty-log": Check("dirty_log_test", QUICK, mode="dirty-log"),
    "clear-log": Check("dirty_log_test", QUICK, mode="clear-log"),
    "dirty-ring": Check("dirty_log_test", QUICK, mode="dirty-ring"),
    "dirty-ring-small": Check("dirty_log_test", QUICK + " -c 1024",
                              mode="dirty-ring"),
    "ring-overflow": Check("dirty_log_test", QUICK + " -c 1024",
                           mode="ring-overflow"),
    "wp-all": Check("dirty_log_test", QUICK, mode="wp-all"),
    "wp-all-reversed": Check("dirty_log_test", "-i 16 -I 50", mode="wp-all",
                             option="-w", fails=8),
    "tracking": Check("dirty_tracking_test"),
    "perf": Check("dirty_log_perf_test", "-b 128M"),
    "perf-legacy": Check("dirty_log_perf_test", "-b 128M -g"),
    "perf-wp-all": Check("dirty_log_perf_test", "-b 128M", option="-W"),
    "ring-perf": Check("dirty_ring_perf_test", "-b 64M -c 4096 -i 2"),
    "ring-perf-wp-all": Check("dirty_ring_perf_test",
                              "-b 64M -c 4096 -i 2 -m wp-all"),
    "memslots": Check("memslot_modification_stress_test", "-b 64M -i 100"),
}

# What the kernel says when something is wrong with it.
SPLAT = re.compile(r"WARNING: |BUG: |INFO: possible |INFO: rcu|suspicious RCU|"
                   r"cut here|inconsistent lock|Oops|unable to handle")


class KernelLog:
    """What the kernel says from now on."""

    def __init__(self):
        self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self.fd, 0, os.SEEK_END)

    def new(self):
        lines = []
        while True:
            try:
                record = os.read(self.fd, 8192)
            except BlockingIOError:
                return lines
            except BrokenPipeError:
                # It had more to say than the buffer holds.
                lines.append("(lines lost)")
                continue
            text = record.decode(errors="replace").split(";", 1)[1]
            lines += text.splitlines()[:1]

    def splat(self):
        """The new lines from the first bad one on."""
        lines = self.new()
        bad = [i for i, line in enumerate(lines) if SPLAT.search(line)]
        return lines[bad[0]:] if bad else []


def execute(command, seconds):
    """(status, output); status None: took longer than that."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            status = None
        output.seek(0)
        return status, output.read()


def why_skipped(status, output):
    """The program's reason, None if it did not skip."""
    if status == KSFT_SKIP:
        found = re.findall(r"# SKIP[ -]*(.+)", output)
        return found[-1] if found else "the program skips it"
    # Modes the kernel does not offer end well, but say so.
    found = re.findall(r"^(.*), skipping test$", output, re.M)
    return found[-1] if found and status == 0 else None


def lacking(program, check):
    """The mode or option that the program does not have."""
    if not (check.mode or check.option):
        return None
    words = re.split(r"[,:\s]+", execute([program, "-h"], 30)[1])
    for kind, wanted in (("mode", check.mode), ("option", check.option)):
        if wanted and wanted not in words:
            return f"{kind} {wanted}"
    return None


def verdict(status, check):
    """What is wrong with how the program ended; nothing if it is right."""
    if status is None:
        return [f"took longer than {check.seconds} s"]
    if check.fails:
        # By an assertion of its own, not by a signal.
        return [] if status > 0 else \
            [f"ended with status {status}, but must notice what it does wrong"]
    return [f"ended with status {status}"] if status else []


def run(tap, log, name, check, programs):
    program = os.path.join(programs, check.program)
    command = [program, *check.args.split()]
    if not os.path.exists(program):
        tap.skip(name, f"{check.program} is not in this kernel's source")
        return
    lacks = lacking(program, check)
    if lacks:
        tap.skip(name, f"{check.program} has no {lacks} in this kernel's source")
        return
    command += ["-M", check.mode] if check.mode else []
    command += [check.option] if check.option else []
    log.new()
    began = time.monotonic()
    for attempt in range(1, max(check.fails, 1) + 1):
        status, output = execute(command, check.seconds)
        if status != 0 or why_skipped(status, output):
            break
    took = time.monotonic() - began
    reason = why_skipped(status, output)
    splat = log.splat()
    shown = " ".join([check.program, *command[1:]])
    if reason and not splat:
        tap.skip(f"{name}: {shown}", reason)
        return
    wrong = verdict(status, check)
    if wrong:
        wrong += output.splitlines()[-LAST_LINES:]
    if splat:
        wrong += ["the kernel said:", *splat[:60]]
    tap.ok(not wrong, f"{name}: {shown}" + " fails" * bool(check.fails), wrong)
    tap.note(f"{took:.1f} s" + f", {attempt} runs" * (attempt > 1))
    for line in output.splitlines():
        if re.search(r"time: [\d.]+s|Avg |took [\d.]+s", line):
            tap.note(line)


def lock_checking(tap):
    """The kernel's lock checker ends with the first thing it finds."""
    try:
        with open("/proc/lockdep_stats", encoding="ascii") as lines:
            stats = lines.read()
    except FileNotFoundError:
        return
    tap.ok(re.search(r"debug_locks: +1$", stats, re.M),
           "the kernel checked locks to the end", stats)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", default=PROGRAMS, metavar="DIR")
    parser.add_argument("--limit", type=int, metavar="S",
                        help="seconds for each check, instead of its own limit")
    parser.add_argument("checks", nargs="*", metavar="CHECK",
                        help=f"of {', '.join(CHECKS)}; default: all")
    args = parser.parse_args()
    unknown = set(args.checks) - set(CHECKS)
    if unknown:
        parser.error(f"no such check: {', '.join(sorted(unknown))}")
    if not os.path.isdir(args.programs):
        parser.error(f"{args.programs} is not there: give the lab "
                     f"--copy build/lab/kvm-selftests:{args.programs}")
    tap, log = Tap(), KernelLog()
    for name in args.checks or CHECKS:
        check = CHECKS[name]
        run(tap, log, name, check._replace(seconds=args.limit or check.seconds),
            args.programs)
    lock_checking(tap)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
