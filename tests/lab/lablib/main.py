# SPDX-License-Identifier: GPL-2.0-or-later
"""Entry points of tests/lab/run and tests/lab/shell."""

import os
import signal
import sys

from . import hosts, native, nested, options
from .errors import EXIT_LAB, LabError


def run(argv):
    return start(options.parse_run(argv))


def shell(argv):
    args = options.parse_shell(argv)
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        print('lab: the shell needs a terminal; use tests/lab/run for a command',
              file=sys.stderr)
        return EXIT_LAB
    return start(args)


def start(args):
    try:
        if args.deb and args.hosts == 1:
            raise LabError('--deb: only for --hosts 2')
        if args.linux != '6.12':
            check_linux(args)
        if args.hosts > 1:
            if args.where == 'native':
                raise LabError('--hosts 2: there is only one machine here; leave --where out')
            return hosts.run(args)
        if args.where == 'auto':
            args.where = 'nested' if options.only_emulated(args) or native.unusable() \
                else 'native'
        if args.where == 'native':
            return native.run(args)
        return nested.run(args)
    except LabError as e:
        print(f'lab: {e}', file=sys.stderr)
        return EXIT_LAB
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE


def check_linux(args):
    """What does not go with a kernel that is not the usual one."""
    if args.kvm == 'patched':
        raise LabError(f'--linux {args.linux} --kvm patched: patches/linux, and modules with '
                       'them, are for Linux 6.12 only; leave one of the two out')
    if args.kernel:
        raise LabError(f'--linux {args.linux} --kernel: which of the two is to be booted?')
