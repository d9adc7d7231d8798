# SPDX-License-Identifier: GPL-2.0-or-later
"""The layer made for one run: the command and what it needs."""

import os
from pathlib import Path

from . import clock, patched, paths, pyruntime
from .errors import LabError
from .tree import Tree

LAB_ROOT = '/opt/lab'
SYSCTLS = (
    ('vm/overcommit_memory', '1'),      # large sparse guests
    ('kernel/core_pattern', '/tmp/core.%p'),
)
# For the cable between two hosts.
NETWORK = ('failover', 'net_failover', 'virtio_net')
# Of the caller's environment only this reaches L1.
PASSED = ('LAB_', 'TERM')


def tree(args, below):
    run = Tree(below)
    add_drivers(run)
    run.directory('/lab/out')
    run.text('/lab/run/argv', '\0'.join(args.command) + '\0')
    run.text('/lab/run/env', ''.join(f'{e}\0' for e in environment(args)))
    run.text('/lab/run/sysctl', '\n'.join('='.join(pair) for pair in SYSCTLS) + '\n')
    run.text('/lab/run/modules', ''.join(f'{line}\n' for line in modules(run, args)))
    if args.tty:
        size = os.get_terminal_size()
        run.text('/lab/run/tty', f'{size.lines} {size.columns}')
    for source, target in args.copy:
        if not os.path.exists(source):
            raise LabError(f'--copy {source}:{target}: {source} is not there')
        run.copy(target, source)
    return run


def environment(args):
    env = {k: v for k, v in os.environ.items() if k.startswith(PASSED)}
    env.update(HOME='/root', PYTHONPATH=LAB_ROOT, LANG='C.UTF-8',
               LAB_WHERE=args.where, LAB_TSC_KHZ=str(clock.tsc_khz(args.icount)))
    return [f'{k}={v}' for k, v in env.items()]


def add_drivers(run):
    for where in paths.DRIVERS:
        for file in sorted(where.glob('*.py')):
            run.file(f'{LAB_ROOT}/{file.name}', file)
    run.copy(f'{LAB_ROOT}/hosts', paths.LAB_SRC / 'hosts')
    for package in paths.PACKAGES:
        pyruntime.add_package(run, f'{LAB_ROOT}/{package.name}', package)


def modules(run, args):
    """Lines for labinit: a module's path in L1 and its parameters."""
    if args.kernel:
        if args.kvm != 'stock':
            raise LabError(f'--kvm {args.kvm}: those modules do not fit the kernel of --kernel, '
                           'which has KVM built in')
        if Path(args.kernel).resolve() == paths.DEBUG_KERNEL:
            patched.warn_if_old(paths.DEBUG_KERNEL, patched.read_stamp(paths.DEBUG_KERNEL),
                                'scripts/debug_kernel.py')
        return []
    stock = paths.MODULES[args.linux]
    if args.kvm == 'stock':
        found = {name: f'{stock}/{name}.ko' for name in patched.LOADED}
    else:
        found = {}
        where = paths.PATCHED_KVM if args.kvm == 'patched' else Path(args.kvm).resolve()
        for file in patched.modules(where, args.linux):
            found[file.stem] = f'/lab/run/{file.name}'
            run.file(found[file.stem], file, 0o644)
    lines = dict(found)
    for name, setting in args.kvm_param:
        if name not in found:
            raise LabError(f'--kvm-param {name}.{setting}: the lab loads no module {name}, '
                           f'but {", ".join(found)}')
        lines[name] += f' {setting}'
    if args.hosts > 1:
        lines.update((name, f'{stock}/{name}.ko') for name in NETWORK)
    return list(lines.values())
