# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of tests/lab/run."""

import argparse
import os
from pathlib import Path

from . import hostroot, paths


def positive(text):
    value = int(text)
    if value < 1:
        raise ValueError
    return value


positive.__name__ = 'number above 0'


def copy_pair(text):
    source, sep, target = text.rpartition(':')
    if not sep or not source or not target.startswith('/'):
        raise argparse.ArgumentTypeError(
            f"'{text}': want SRC:DST, with DST an absolute path in L1")
    return source, target


def debian_package(text):
    if not text.endswith('.deb') or not os.path.isfile(text):
        raise argparse.ArgumentTypeError(f"'{text}': want a Debian package")
    return Path(text).resolve()


def kvm_modules(text):
    if text not in ('stock', 'patched') and not os.path.isdir(text):
        raise argparse.ArgumentTypeError(
            f"'{text}': want stock, patched, or a directory with kvm.ko and kvm-amd.ko")
    return text


def module_param(text):
    module, dot, setting = text.partition('.')
    if not dot or '=' not in setting or ' ' in setting:
        raise argparse.ArgumentTypeError(f"'{text}': want MODULE.PARAM=VALUE")
    return module.replace('_', '-'), setting


def directory(text):
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f'{text} is no directory')
    return Path(text).resolve()


def add_common(parser):
    parser.add_argument('--where', choices=('auto', 'native', 'nested'), default='auto',
                        help="on this machine's KVM, or in an emulated host "
                             '(default: native if the CPU has vmx or svm)')
    parser.add_argument('--smp', type=positive, default=1, metavar='N',
                        help='CPUs of the emulated host (default 1)')
    parser.add_argument('--mem', type=positive, default=4096, metavar='MiB',
                        help='its memory (default 4096)')
    parser.add_argument('--linux', choices=tuple(paths.KERNELS), default='6.12',
                        help="its kernel: that of Debian 12's backports (default), or the "
                             "newest of Debian 13's; guests always have the former")
    parser.add_argument('--kvm', type=kvm_modules, default='stock', metavar='stock|patched|DIR',
                        help="its KVM modules: the kernel's own (default), those of "
                             'patches/linux (make kvm-modules), or those in DIR')
    parser.add_argument('--kernel', metavar='DIR',
                        help='boot DIR/vmlinux, with KVM built in, instead '
                             '(scripts/debug_kernel.py makes one)')
    parser.add_argument('--kvm-param', type=module_param, action='append', default=[],
                        metavar='MODULE.PARAM=VALUE',
                        help='a parameter for one of them, e.g. kvm-amd.npt=0')
    parser.add_argument('--hosts', type=int, choices=(1, 2), default=1,
                        help='2: two emulated hosts with libvirt and a network of their own; '
                             'the command runs on the first, the second answers as host2')
    parser.add_argument('--libvirt', choices=tuple(hostroot.SUITES), default='bookworm',
                        help='which libvirt they have (default bookworm)')
    parser.add_argument('--deb', type=debian_package, metavar='FILE',
                        help='install this Debian package in both of them, and ssh')
    parser.add_argument('--copy', type=copy_pair, action='append', default=[],
                        metavar='SRC:DST',
                        help='bring a file or directory along; programs with their libraries')
    parser.add_argument('--output', type=directory, metavar='DIR',
                        help='where files go that the command leaves in /lab/out')
    parser.add_argument('--icount', action='store_true',
                        help='count instructions as time: steady figures, slower')
    parser.add_argument('-v', '--verbose', action='store_true',
                        help="show the emulated host's console and what the lab does")


def parse_run(argv):
    parser = argparse.ArgumentParser(
        prog='tests/lab/run',
        description='Runs a command on a KVM host (L1), an emulated one where need be.',
        epilog="Exit status: the command's; 124 when it took too long; "
               '125 when the lab failed, not the command.')
    add_common(parser)
    parser.add_argument('--timeout', type=positive, default=300, metavar='S',
                        help='seconds the command may take (default 300)')
    parser.add_argument('command', nargs='+', metavar='CMD', help='what to run, after --')
    args = parser.parse_args(argv)
    args.tty = False
    return args


def parse_shell(argv):
    parser = argparse.ArgumentParser(
        prog='tests/lab/shell', description='A prompt on the KVM host (L1).')
    add_common(parser)
    parser.add_argument('command', nargs='*', metavar='CMD', help='instead of a shell')
    args = parser.parse_args(argv)
    args.command = args.command or ['/bin/sh']
    args.timeout = None
    args.tty = True
    return args
