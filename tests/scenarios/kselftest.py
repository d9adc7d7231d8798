#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own KVM selftests, in the lab.  Prints TAP.

  tests/lab/run --kvm patched --copy build/lab/kvm-selftests:/opt/kselftest \\
      -- python3 /opt/lab/kselftest.py [CHECK...]

A check is one program with its arguments.  It fails if the program does, if it
takes too long, or if the kernel warned meanwhile; and if there is no such
program, or it has not the mode.  A program must skip itself if KVM does not
offer what it needs, and only then.
"""

import argparse
import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from pathlib import Path

from dirtylab.tap import Tap

PROGRAMS = "/opt/kselftest"
KSFT_SKIP = 4
LAST_LINES = 20

# As scripts/kvm_selftests.py builds them, from tools/testing/selftests/kvm.
# seconds: how long it may take.  mode (-M) and option: the program's -h must
# name them.  fails: the program is told to make a mistake, and must find it in
# one of so many runs, as the guest has to write at the right moment.  needs:
# the capability without which the program must skip itself.  tells: what it
# must say if and only if KVM lacks a capability.  hugepages: of 2 MiB, to be
# set aside.
Check = namedtuple("Check", "program args seconds mode option fails needs "
                   "tells hugepages",
                   defaults=("", 120, None, None, 0, None, None, 0))

# Of patches/linux, as KVM_CHECK_EXTENSION knows them.
CAPABILITIES = {"ring-reset": 0x44540001, "ring-overflow": 0x44540002,
                "wp-all": 0x44540004}
KVM_CREATE_VM = 0xae01
KVM_CHECK_EXTENSION = 0xae03

QUICK = "-i 3 -I 50"
# In three rounds the guest hardly comes back to a page that was not protected
# again: tests/kernel/mutate.py found that nobody would notice.
LONGER = "-i 8 -I 300"

CHECKS = {
    "dirty-log": Check("dirty_log_test", QUICK, mode="dirty-log"),
    "clear-log": Check("dirty_log_test", QUICK, mode="clear-log"),
    "dirty-ring": Check("dirty_log_test", QUICK, mode="dirty-ring"),
    "dirty-ring-small": Check("dirty_log_test", QUICK + " -c 1024",
                              mode="dirty-ring"),
    "ring-overflow": Check("dirty_log_test", QUICK + " -c 1024",
                           mode="ring-overflow", needs="ring-overflow"),
    "wp-all": Check("dirty_log_test", LONGER, mode="wp-all", needs="wp-all"),
    "wp-all-reversed": Check("dirty_log_test", "-i 16 -I 50", mode="wp-all",
                             option="-w", fails=8, needs="wp-all"),
    "tracking": Check("dirty_tracking_test", needs="ring-reset",
                      tells=("wp-all", "No KVM_CAP_X86_WRITE_PROTECT_ALL_MEM: "
                             "not tested")),
    "perf": Check("dirty_log_perf_test", "-b 128M"),
    "perf-legacy": Check("dirty_log_perf_test", "-b 128M -g"),
    "perf-wp-all": Check("dirty_log_perf_test", "-b 128M", option="-W",
                         needs="wp-all"),
    "ring-perf": Check("dirty_ring_perf_test", "-b 64M -c 4096 -i 2"),
    "ring-perf-wp-all": Check("dirty_ring_perf_test",
                              "-b 64M -c 4096 -i 2 -m wp-all",
                              needs="wp-all"),
    "memslots": Check("memslot_modification_stress_test", "-b 64M -i 100"),
}

# The same with memory in huge pages, which logging has to split.
BACKINGS = {
    f"{name}-{short}": CHECKS[name]._replace(
        args=f"{CHECKS[name].args} -s {backing}", hugepages=pages)
    for name in ("perf", "perf-legacy", "perf-wp-all")
    for short, backing, pages in (("thp", "anonymous_thp", 0),
                                  ("hugetlb", "anonymous_hugetlb", 96))
}

# Of patches/linux-mainline, for the newest kernel.
MAINLINE = {"ring-signals": Check("dirty_ring_reset_test")}

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


def offered():
    """The names of what KVM offers of CAPABILITIES."""
    with open("/dev/kvm", "rb+", buffering=0) as kvm:
        vm = fcntl.ioctl(kvm, KVM_CREATE_VM, 0)
        found = {name for name, number in CAPABILITIES.items()
                 if fcntl.ioctl(vm, KVM_CHECK_EXTENSION, number) > 0}
        os.close(vm)
    return found


def switched_on(*parameters):
    """Whether all of these modules' parameters are, as far as they exist."""
    values = []
    for module, name in parameters:
        path = Path(f"/sys/module/{module}/parameters/{name}")
        with contextlib.suppress(FileNotFoundError):
            values.append(path.read_text("ascii").strip() in ("Y", "1"))
    return all(values)


def capabilities(tap, offers, patched):
    """All memory can be protected at once only through the TDP MMU."""
    if patched:
        tap.ok("ring-reset" in offers, "KVM is that of patches/linux",
               f"offered: {sorted(offers)}")
    tdp = switched_on(("kvm_amd", "npt"), ("kvm_intel", "ept"),
                      ("kvm", "tdp_mmu"))
    wanted = "ring-reset" in offers and tdp
    tap.ok(("wp-all" in offers) == wanted,
           f"write-protect-all is {'' if wanted else 'not '}offered, with the "
           f"TDP MMU {'on' if tdp else 'off'}", f"offered: {sorted(offers)}")


@contextlib.contextmanager
def hugepages(count):
    """Set aside that many; yields how many there are."""
    if not count:
        yield 0
        return
    path = Path("/proc/sys/vm/nr_hugepages")
    before = path.read_text("ascii")
    path.write_text(str(count), "ascii")
    yield int(path.read_text("ascii"))
    path.write_text(before, "ascii")


def why_skipped(status, output):
    """The program's reason, None if it did not skip."""
    if status == KSFT_SKIP:
        found = re.findall(r"# SKIP[ -]*(.+)", output)
        return found[-1] if found else "the program skips it"
    # Modes the kernel does not offer end well, but say so.
    found = re.findall(r"^(.*), skipping test$", output, re.M)
    return found[-1] if found and status == 0 else None


def lacking(program, check):
    """What is not there for this check; None if all is."""
    if not os.path.exists(program):
        return "such program"
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


def skip_is_wrong(check, offers, skipped):
    """What is wrong with a program that skipped itself, or did not."""
    lacks = check.needs and check.needs not in offers
    if skipped and not lacks:
        return ["the program skips itself, and KVM has all that it needs"]
    if lacks and not skipped:
        return [f"the program ran, and KVM does not offer {check.needs}"]
    return []


def telling(check, offers, output):
    """What is wrong with what the program said of KVM."""
    if not check.tells:
        return []
    capability, words = check.tells
    wanted = capability not in offers
    return [] if (words in output) == wanted else \
        [f"it must {'' if wanted else 'not '}say: {words}"]


def run(tap, log, offers, name, check, programs):
    program = os.path.join(programs, check.program)
    lacks = lacking(program, check)
    if lacks:
        tap.ok(False, name, f"{check.program}: no {lacks} among those that "
               "scripts/kvm_selftests.py built")
        return
    command = [program, *check.args.split()]
    command += ["-M", check.mode] if check.mode else []
    command += [check.option] if check.option else []
    log.new()
    began = time.monotonic()
    for attempt in range(1, max(check.fails, 1) + 1):
        status, output = execute(command, check.seconds)
        reason = why_skipped(status, output)
        if status != 0 or reason:
            break
    took = time.monotonic() - began
    wrong = skip_is_wrong(check, offers, bool(reason))
    if not reason:
        wrong += verdict(status, check) or telling(check, offers, output)
    if wrong:
        wrong += output.splitlines()[-LAST_LINES:]
    splat = log.splat()
    if splat:
        wrong += ["the kernel said:", *splat[:60]]
    ends = " skips itself" if reason else " fails" if check.fails else ""
    tap.ok(not wrong, f"{name}: {' '.join([check.program, *command[1:]])}{ends}",
           wrong)
    tap.note(reason or f"{took:.1f} s" + f", {attempt} runs" * (attempt > 1))
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
    parser.add_argument("--patched", action="store_true",
                        help="fail if KVM is not that of patches/linux")
    parser.add_argument("--limit", type=int, metavar="S",
                        help="seconds for each check, not its own limit")
    parser.add_argument("checks", nargs="*", metavar="CHECK",
                        help=f"of {', '.join(CHECKS)}; default: all these. "
                        f"'all' adds: {', '.join(BACKINGS)}.  With "
                        f"patches/linux-mainline: {', '.join(MAINLINE)}")
    args = parser.parse_args()
    table = {**CHECKS, **BACKINGS, **MAINLINE}
    names = [*CHECKS, *BACKINGS] if args.checks == ["all"] \
        else args.checks or CHECKS
    unknown = set(names) - set(table)
    if unknown:
        parser.error(f"no such check: {', '.join(sorted(unknown))}")
    if not os.path.isdir(args.programs):
        parser.error(f"{args.programs} is not there: give the lab "
                     f"--copy build/lab/kvm-selftests:{args.programs}")
    tap, log = Tap(), KernelLog()
    offers = offered()
    capabilities(tap, offers, args.patched)
    wanted = max(table[name].hugepages for name in names)
    with hugepages(wanted) as got:
        if wanted:
            tap.ok(got >= wanted, f"{wanted} huge pages are set aside",
                   f"there are {got}")
        for name in names:
            check = table[name]
            seconds = args.limit or check.seconds
            run(tap, log, offers, name, check._replace(seconds=seconds),
                args.programs)
    lock_checking(tap)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
