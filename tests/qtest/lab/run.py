#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a qtest program in the lab and reports its tests as TAP.

A test that is skipped, crashes or hangs has not passed: it is reported as
failed, and the tests after it are run all the same.  That is why this stands
between the program and whoever counts.
"""

import argparse
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time

QEMU = "/opt/qemu/bin/qemu-system-x86_64"
HERE = os.path.dirname(os.path.abspath(__file__))
FORCED = os.path.join(HERE, "forced", "qemu-system-x86_64")
STARTS = "/tmp/forced-starts"
RESULT = re.compile(r"(ok|not ok) \d+ (\S+)(?:.*?# (SKIP)\b ?(.*))?")


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--force", metavar="PROPS",
                   help="add these properties to each -accel kvm, and let no "
                        "other accelerator stand in")
    p.add_argument("--qemu", default=QEMU, help="default: %(default)s")
    p.add_argument("--label", default="", help="to put before tests' names")
    p.add_argument("--limit", type=int, default=300, metavar="S",
                   help="seconds a single test may take (default 300)")
    p.add_argument("--times", type=int, default=1, metavar="N",
                   help="run all N times")
    p.add_argument("--option", action="append", default=[],
                   help="option of the program, e.g. --option=--full")
    p.add_argument("-p", dest="paths", action="append", default=[],
                   metavar="PATH", help="run this test, or those below it")
    p.add_argument("-s", dest="skips", action="append", default=[],
                   metavar="PATH", help="but not these")
    p.add_argument("program")
    return p.parse_args()


def environment(args):
    env = dict(os.environ, QTEST_QEMU_BINARY=args.qemu,
               PYTHON=sys.executable)
    if args.force:
        env.update(QTEST_QEMU_BINARY=FORCED, FORCED_QEMU=args.qemu,
                   FORCED_PROPS=args.force, FORCED_STARTS=STARTS)
    return env


def is_below(name, paths):
    return any(name == p or name.startswith(p.rstrip("/") + "/")
               for p in paths)


def listed(args, env):
    done = subprocess.run([args.program, *args.option, "-l"], env=env,
                          cwd=HERE, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True, check=False)
    names = [line for line in done.stdout.splitlines() if line[:1] == "/"]
    if args.paths:
        for path in args.paths:
            if not any(is_below(name, [path]) for name in names):
                sys.exit(f"{args.program} has no test {path}")
        names = [name for name in names if is_below(name, args.paths)]
    return [name for name in names if not is_below(name, args.skips)]


class Report:
    def __init__(self, label):
        self.label = label
        self.count = self.failed = 0
        self.since = time.monotonic()

    def result(self, good, name, why=""):
        self.count += 1
        self.failed += not good
        now = time.monotonic()
        if why:
            self.note(why)
        # No '#' after the name: that would be a directive.
        print(f"{'ok' if good else 'not ok'} {self.count} - {self.label}"
              f"{name} ({now - self.since:.1f} s)", flush=True)
        self.since = now

    @staticmethod
    def note(text):
        print("# " + text, flush=True)


def lines(process, limit):
    """Lines of its output; None when it has been silent about results for too
    long.  The caller sends True to start the clock again."""
    pending = b""
    deadline = time.monotonic() + limit
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            yield None
            return
        data = os.read(process.stdout.fileno(), 65536)
        if not data:
            return
        *complete, pending = (pending + data).split(b"\n")
        for line in complete:
            if (yield line.decode(errors="replace")):
                deadline = time.monotonic() + limit


def uppermost(names):
    """NAMES without those below another of them.  GLib runs what is right below
    a -p, and once more if it has a -p of its own; but migration-test frees what
    its tests need once they have run."""
    return [name for name in names
            if not is_below(name, [n for n in names if n != name])]


def run_once(args, env, names, report):
    """Run NAMES in one process; returns those it did not come to."""
    command = [args.program, *args.option, "--tap", "-k"]
    for name in uppermost(names):
        command += ["-p", name]
    with subprocess.Popen(command, env=env, cwd=HERE, start_new_session=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as process:
        left = list(names)
        output = lines(process, args.limit)
        answer = None
        hung = False
        while True:
            try:
                line = output.send(answer)
            except StopIteration:
                break
            answer = None
            if line is None:
                hung = True
                break
            found = RESULT.match(line)
            if found and found.group(2) in left:
                answer = True
                name = found.group(2)
                left.remove(name)
                if found.group(3):
                    report.result(False, name, "skipped: " + found.group(4))
                else:
                    report.result(found.group(1) == "ok", name)
            elif not re.match(r"1\.\.\d|# (Start|End) of |ok |not ok ", line):
                report.note(line.lstrip("# "))
        if hung:
            report.note(f"no result in {args.limit} s")
            os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
    if left and not status and len(left) < len(names):
        report.note(f"{len(left)} were not among what it chose to run")
    elif left:
        # It died in the first of those that it has not reported.
        report.result(False, left.pop(0), f"ended with status {status}")
    elif status:
        report.result(False, "exit status of " + args.program,
                      f"status {status} although all tests were run")
    return left


def clean_up():
    for name in os.listdir("/tmp"):
        if re.match(r"(migration|dirty-tracking)-test-", name):
            shutil.rmtree(os.path.join("/tmp", name), ignore_errors=True)


def main():
    args = arguments()
    env = environment(args)
    report = Report(args.label)
    names = listed(args, env)
    if not names:
        sys.exit(f"{args.program}: no test to run")
    # The time to list them shall not count as the first test's.
    report.since = time.monotonic()
    for _ in range(args.times):
        left = names
        while left:
            left = run_once(args, env, left, report)
            clean_up()
    if args.force:
        try:
            with open(STARTS, encoding="utf-8") as starts:
                count = len(starts.readlines())
        except FileNotFoundError:
            count = 0
        report.result(count > 0, f"QEMU was started with -accel "
                      f"kvm,...{args.force} ({count} times)")
    print(f"1..{report.count}", flush=True)
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
