#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Native mode, on a host that has KVM: the emulated one.  Prints TAP.

Runs in the lab, where TREE holds what tests/lab/run is made of.  In place of
the layers that it makes of a Debian machine, it gets the files of this one.
"""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

TREE = Path('/opt/tree')
BUILD = Path('/tmp/build')
OUT = Path('/tmp/out')
OVERLAY = '/lib/modules/lab/overlay.ko'
# Of this machine's own run, or of no use in another.
NOT_COPIED = {'/dev', '/lab', '/proc', '/run', '/sys', '/tmp', str(TREE)}

# Runs tests/lab/run's code with the layers in place.
INSIDE = f'''
import sys
sys.path[:0] = ["{TREE}/tests/lab", "{TREE}/scripts", "{TREE}/tests/lab/selftest"]
sys.dont_write_bytecode = True
import native as selftest
from lablib import image, main
image.layers = selftest.layers
sys.exit(main.run(sys.argv[1:]))
'''


def layers():
    """This machine's files, as a layer."""
    from lablib.image import Layer
    from lablib.tree import Tree
    tree = Tree()
    pending = ['/']
    for where in pending:
        for entry in os.scandir(where):
            if entry.path in NOT_COPIED:
                tree.directory(entry.path)
            elif entry.is_symlink():
                tree.link(entry.path, os.readlink(entry.path))
            elif entry.is_dir():
                tree.directory(entry.path, stat.S_IMODE(entry.stat().st_mode))
                pending.append(entry.path)
            elif entry.is_file():
                tree.file(entry.path, entry.path)
    return [Layer('base', tree)]


def lab(*args):
    return subprocess.run([sys.executable, '-c', INSIDE, *args], text=True, check=False,
                          env=dict(os.environ, DIRTYTRACK_BUILD=str(BUILD), LAB_TEST='passed',
                                   OTHER='not passed'),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def seen(done):
    return [f'status {done.returncode}', *done.stdout.splitlines(),
            *done.stderr.splitlines()]


def prepare():
    """What a Debian machine has, and this one has not yet."""
    subprocess.run(['insmod', OVERLAY], check=True)
    # The lab's programs must not look older than their sources.
    shutil.copytree('/opt/bin', BUILD / 'lab' / 'bin')
    for program in (BUILD / 'lab' / 'bin').iterdir():
        program.touch()
    OUT.mkdir()


def commands(tap):
    done = lab('--output', str(OUT), '--', 'sh', '-c',
               'echo $LAB_WHERE $LAB_TEST $OTHER; echo to-err >&2; echo new > /opt/guest/new; '
               'echo out > /lab/out/file; ps | wc -l; test -c /dev/kvm && sleep 300 & exit 7')
    lines = done.stdout.split()
    tap.ok(done.returncode == 7 and lines[:2] == ['native', 'passed'] and 'not' not in lines
           and done.stderr.endswith('to-err\n'),
           'a command runs natively, with its status, streams and environment', seen(done))
    tap.ok(lines[2:] and int(lines[2]) < 10, 'it sees no process but its own', seen(done))
    tap.ok((OUT / 'file').read_text() == 'out\n', 'the file that it leaves comes out')
    tap.ok(not Path('/opt/guest/new').exists(), 'what it writes elsewhere is gone')
    with open('/proc/mounts', encoding='ascii') as mounts:
        left = [line for line in mounts if str(BUILD) in line]
    names = [Path(f'/proc/{pid}/cmdline') for pid in os.listdir('/proc') if pid.isdigit()]
    left += [name for name in names if name.exists() and b'sleep\0300' in name.read_bytes()]
    left += list((BUILD / 'lab').glob('native-*'))
    tap.ok(not left, 'no process, mount or directory of it is left', [str(x) for x in left])


def refusals(tap):
    done = lab('--timeout', '2', '--', 'sleep', '60')
    tap.ok(done.returncode == 124 and '--timeout' in done.stderr,
           'a command that takes too long is ended', seen(done))
    done = lab('--where', 'native', '--kvm', 'patched', '--', 'true')
    tap.ok(done.returncode == 125 and '--kvm: only an emulated host' in done.stderr,
           'this machine keeps its own KVM', seen(done))


def migration(tap):
    done = lab('--', 'python3', '/opt/lab/oracle.py', '--mem', '128', '--load',
               'mib=8,rate=500')
    tap.ok(done.returncode == 0 and re.search('^1/1 ring: .* good$', done.stdout, re.M),
           'a guest migrates, on this KVM', seen(done))
    tap.note(done.stdout)


def main():
    sys.path[:0] = [str(TREE / 'tests' / 'lib')]
    from dirtylab.tap import Tap
    tap = Tap()
    prepare()
    for part in (commands, refusals, migration):
        part(tap)
    return tap.end()


if __name__ == '__main__':
    sys.exit(main())
