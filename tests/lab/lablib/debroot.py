# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian in a directory, made by mmdebstrap, to install packages into."""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import paths


class Root:
    """Commands run in namespaces of their own."""

    def __init__(self, directory):
        self.path = Path(directory)

    def run(self, script, before=''):
        """(status, output) of a shell script in it; before: what a shell does outside, to
        its mounts of the root $1."""
        inside = ('set -e\nexport LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive\n'
                  + script)
        done = subprocess.run(
            ['unshare', '--mount', '--pid', '--fork', '--kill-child', 'sh', '-c',
             f'mount -t proc proc "$1/proc"; {before}\nexec chroot "$1" /bin/bash -c "$2"',
             'sh', self.path, inside], text=True, check=False,
            env={'PATH': '/usr/sbin:/usr/bin:/sbin:/bin'}, errors='replace',
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def files(self):
        """All there is but what apt and dpkg keep for themselves, as a set."""
        skipped = {str(self.path / name) for name in
                   ('proc', 'tmp', 'var/cache', 'var/lib/apt', 'var/lib/dpkg',
                    'var/log')}
        found = set()
        for where, below, names in os.walk(self.path):
            below[:] = [name for name in below
                        if os.path.join(where, name) not in skipped]
            found.update(os.path.relpath(os.path.join(where, name), self.path)
                         for name in [*below, *names])
        return found


def why_not():
    """Why there can be no such thing here, or None."""
    if os.geteuid():
        return 'needs root'
    if not shutil.which('mmdebstrap'):
        return 'needs mmdebstrap (Debian package mmdebstrap)'
    return None


def mirror():
    """Where the project gets Debian from."""
    text = (paths.BUILD / 'apt' / 'sources.list').read_text()
    return re.search(r'(\S+) bookworm-backports main', text)[1]


def bookworm():
    """Debian 12, with its backports."""
    return [f'deb {mirror()} {suite} main' for suite in ('bookworm', 'bookworm-backports')]


def command(suite, target, sources, options=()):
    """What makes a small Debian, as a tar."""
    return ['mmdebstrap', '--quiet', '--variant=apt', '--format=tar',
            '--aptopt=APT::Install-Recommends "false"', *options, suite, target, *sources]


def made(directory, name, suite, sources, options=()):
    """A tar of a Debian, kept until it would be made in another way."""
    key = hashlib.sha256(repr((suite, sources, options)).encode()).hexdigest()
    tar = directory / f'{name}-{key[:16]}.tar'
    if not tar.exists():
        print(f'# making a Debian ({suite}) to install into', flush=True)
        for old in directory.glob(f'{name}-*'):
            old.unlink()
        new = tar.with_suffix('.new.tar')
        subprocess.run(command(suite, new, sources, options), check=True,
                       stdin=subprocess.DEVNULL, stdout=sys.stderr)
        new.rename(tar)
    return tar


@contextlib.contextmanager
def unpacked(tar):
    """The Root in TAR, for a while."""
    # Not in /tmp: it may be small.
    with tempfile.TemporaryDirectory(dir=tar.parent, prefix='root-') as temp:
        subprocess.run(['tar', '-xf', tar, '--numeric-owner', '-C', temp],
                       check=True)
        yield Root(temp)
