# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetches Debian packages through the project's private apt."""

import subprocess

from . import paths
from .errors import LabError

PRIVATE_APT = paths.TOP / 'scripts' / 'private-apt'


def available():
    """{package: {versions}} of all there is to download."""
    found = {}
    name = None
    # What this machine has installed is not asked for.
    for line in apt('cache', '-oDir::State::status=/dev/null', 'dumpavail').splitlines():
        if line.startswith('Package: '):
            name = line[9:]
        elif line.startswith('Version: '):
            found.setdefault(name, set()).add(line[9:])
    return found


def download(package, version, into):
    """The .deb file, not installed."""
    into.mkdir(parents=True, exist_ok=True)
    # Our directory may be closed to apt's own user.
    apt('get', '-qq', '-oAPT::Sandbox::User=root', 'download', f'{package}={version}', cwd=into)
    debs = sorted(into.glob(f'{package}_*.deb'))
    if not debs:
        raise LabError(f'apt-get download {package}={version} left no file in {into}')
    return debs[-1]


def refresh():
    apt('refresh')


def apt(*args, cwd=None):
    done = subprocess.run([PRIVATE_APT, *args], cwd=cwd, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise LabError(f'{PRIVATE_APT.name} {" ".join(args)} failed:\n{done.stderr.strip()}')
    return done.stdout


def extract(deb, into):
    done = subprocess.run(['dpkg-deb', '-x', str(deb), str(into)],
                          stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise LabError(f'dpkg-deb -x {deb}: {done.stderr.strip()}')
