# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a command on this machine's own KVM, in a copy of L1's file tree."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile

from labkernel.lock import locked

from . import image, paths, runlayer
from .errors import EXIT_TIMEOUT, LabError

# The order matters: the tree first, then the machine's own devices in it.
MOUNTS = '''set -e
mount -t tmpfs lab "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay lab -o "lowerdir=$2,upperdir=$1/up,workdir=$1/work" "$1/root"
mount --rbind /dev "$1/root/dev"
mount -t proc proc "$1/root/proc"
mount --rbind /sys "$1/root/sys"
mount -t tmpfs tmp "$1/root/tmp"
cd "$1/root"
ip link set lo up 2>/dev/null || true
[ -z "$3" ] || mount --bind "$3" lab/out
shift 3
# Not the command itself as process 1, on which most signals have no effect.
exec chroot . /bin/sh -c 'cd /tmp; "$@"; exit $?' sh "$@"
'''


def unusable():
    """Why KVM cannot be used here; None if it can.

    A /dev/kvm alone says little: some machines have one without vmx or svm,
    that cannot run ordinary 64-bit guests.
    """
    if not os.environ.get('LAB_ASSUME_KVM'):
        with open('/proc/cpuinfo') as f:
            flags = {flag for line in f if line.startswith('flags') for flag in line.split()}
        if not flags & {'vmx', 'svm'}:
            return 'the CPU flags show neither vmx nor svm'
    try:
        os.close(os.open('/dev/kvm', os.O_RDWR))
    except OSError as e:
        return f'/dev/kvm: {e.strerror}'
    if os.geteuid():
        return 'it needs root (chroot and mounts)'
    return None


def run(args):
    reason = unusable()
    if reason:
        raise LabError(f'--where native: not possible here: {reason}; '
                       'use --where nested')
    if args.kvm != 'stock' or args.kvm_param or args.kernel or args.linux != '6.12':
        raise LabError("--kvm, --kvm-param, --kernel, --linux: would replace this machine's "
                       'KVM; use --where nested')
    if args.icount:
        raise LabError('--icount: only an emulated host can count instructions; '
                       'use --where nested')
    layers = image.layers()
    lower = ':'.join(str(unpacked(layer)) for layer in reversed(layers))
    below = {path for layer in layers for path in layer.tree.paths()}
    extra = tempfile.mkdtemp(prefix='native-', dir=paths.LAB)
    try:
        runlayer.tree(args, below).write(extra)
        os.mkdir(f'{extra}/mnt')
        return execute(args, f'{extra}:{lower}', f'{extra}/mnt')
    finally:
        shutil.rmtree(extra, ignore_errors=True)


def unpacked(layer):
    """The layer as a directory, made when first needed."""
    root = paths.LAB / f'root-{layer.name}-{layer.key}'
    with locked():
        if not root.exists():
            new = paths.LAB / 'root.new'
            shutil.rmtree(new, ignore_errors=True)
            layer.tree.write(new)
            new.rename(root)
            # Another run may still be using the ones before.
            found = sorted(paths.LAB.glob(f'root-{layer.name}-*'),
                           key=lambda p: p.stat().st_ctime)
            for stale in found[:-3]:
                shutil.rmtree(stale)
    return root


def execute(args, lower, mnt):
    env = dict(entry.split('=', 1) for entry in runlayer.environment(args))
    env['PATH'] = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    # A PID namespace: whatever the command leaves behind ends with it.
    process = subprocess.Popen(
        ['unshare', '--mount', '--pid', '--net', '--fork', '--kill-child', '--',
         '/bin/sh', '-c', MOUNTS, 'sh', mnt, lower, str(args.output or ''),
         *args.command],
        env=env, stdin=None if args.tty else subprocess.DEVNULL)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda n, _: sys.exit(128 + n))
    try:
        status = process.wait(args.timeout)
    except subprocess.TimeoutExpired:
        print(f'lab: timeout: the command ran for more than {args.timeout} s (--timeout)',
              file=sys.stderr)
        return EXIT_TIMEOUT
    finally:
        process.kill()
        process.wait()
    return status if status >= 0 else 128 - status
