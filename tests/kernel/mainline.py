#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Test patches/linux-mainline on the newest kernel, in the lab.  Prints TAP.

The patches must apply to its source and compile; their selftest must fail with
the kernel's own KVM, and pass with theirs.  When Debian's kernel has the fix,
the first fails: then the patches can go.
"""

import re
import subprocess
import sys
from pathlib import Path

# Leave no __pycache__ in the source directory.
sys.dont_write_bytecode = True
TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / 'scripts'), str(TOP / 'tests' / 'lib')]

from dirtylab.tap import Tap                                    # noqa: E402
from labkernel import paths                                     # noqa: E402

LAB = TOP / 'tests' / 'lab' / 'run'
BUILD = TOP / 'scripts' / 'mainline_kvm.py'
LIMIT = 300                 # seconds for each check

# What the newest kernel itself is known to lose, and what is only to pass.
BROKEN = 'ring-signals'
OTHERS = ['dirty-ring']


def build():
    done = subprocess.run([BUILD], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    return done.returncode == 0, done.stdout


def run_checks(kvm, *checks):
    """({check: 'ok', 'not ok' or 'skipped'}, what the lab said)"""
    done = subprocess.run(
        [LAB, '--where', 'nested', '--linux', 'newest', '--kvm', kvm,
         '--timeout', str(60 + LIMIT * len(checks)),
         '--copy', f'{paths.MAINLINE_SELFTESTS}:/opt/kselftest', '--',
         'python3', '/opt/lab/kselftest.py', '--limit', str(LIMIT), *checks],
        stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False)
    found = {name: 'skipped' if '# SKIP' in line else result
             for line in done.stdout.splitlines()
             for result, name in re.findall(r'^(ok|not ok) \d+ - ([\w-]+): ',
                                            line)}
    return found, done.stdout


def main():
    tap = Tap()
    good, said = build()
    tap.ok(good, 'patches/linux-mainline applies and compiles', said)
    if good:
        found, said = run_checks('stock', BROKEN)
        lost = 'but is not in the ring' in said
        tap.ok(found.get(BROKEN) == 'not ok' and lost,
               f"with the kernel's own KVM {BROKEN} loses a page", said)
        found, said = run_checks(paths.MAINLINE_KVM, BROKEN, *OTHERS)
        for check in (BROKEN, *OTHERS):
            tap.ok(found.get(check) == 'ok', f'with the patches {check} passes',
                   said)
    return tap.end()


if __name__ == '__main__':
    sys.exit(main())
