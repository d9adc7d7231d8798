#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""On a machine that has KVM, does every test get the lab that it asks for?

Starts no lab: asks tests/lab/run's code which one it would take.  Prints TAP.
"""

import contextlib
import io
import json
import os
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(TOP / 'tests' / 'lab'), str(TOP / 'scripts'), str(TOP / 'tests' / 'lib')]
sys.dont_write_bytecode = True

from dirtylab.tap import Tap                    # noqa: E402
from lablib import hosts, image, main, native, nested    # noqa: E402

RUN = TOP / 'tests' / 'lab' / 'run'


class Reached(Exception):
    """A run has come as far as to start something there."""


def reached(where):
    def stop(*_):
        raise Reached(where)
    return stop


def pretend():
    """KVM works here, and nothing is started."""
    native.unusable = lambda: None
    native.os.sched_getaffinity = lambda _: range(4)
    # Native mode has looked at all options by then.
    image.layers = reached('native')
    nested.run = reached('nested')
    hosts.run = reached('hosts')


def chosen(*options):
    """Which kind of lab these options of tests/lab/run get, or what is wrong with them."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            main.run([*options, '--', 'true'])
    except Reached as found:
        return str(found)
    return said.getvalue().strip()


def check(tap, want, *options):
    found = chosen(*options)
    tap.ok(found == want, f'{" ".join(options) or "no option"}: {want}', found)


def registered():
    """(name, options for the lab) of all tests that run it."""
    tests = json.loads((TOP / 'build/meson-info/intro-tests.json').read_text())
    for test in tests:
        command = test['cmd']
        if str(RUN) in command:
            begin = command.index(str(RUN)) + 1
            yield test['name'], command[begin:command.index('--', begin)]


def all_tests(tap):
    found = {name: options for name, options in registered()}
    wrong = []
    for name, options in found.items():
        # What is copied need not be built yet.
        where = chosen(*options)
        if where not in ('native', 'nested', 'hosts'):
            wrong.append(f'{name}: {where}')
    tap.ok(found and not wrong, f'all {len(found)} tests that run the lab can', wrong)


def run():
    pretend()
    tap = Tap()
    check(tap, 'native')
    check(tap, 'native', '--smp', '2', '--mem', '2048', '--kvm', 'stock')
    for options in (('--kvm', 'patched'), ('--kvm', os.path.dirname(__file__)),
                    ('--kvm-param', 'kvm-amd.npt=0'), ('--kernel', '/boot'), ('--icount',),
                    ('--smp', '8'), ('--where', 'nested')):
        check(tap, 'nested', *options)
    check(tap, 'hosts', '--hosts', '2')
    for options in (('--kvm', 'patched'), ('--icount',)):
        found = chosen('--where', 'native', *options)
        tap.ok('only an emulated host' in found and options[0] in found,
               f'--where native {" ".join(options)}: refused', found)
    all_tests(tap)
    return tap.end()


if __name__ == '__main__':
    sys.exit(run())
