# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the lab's own static C programs."""

import os
import subprocess

from . import paths
from .errors import LabError


def static(name, sources, extra=()):
    """The program, rebuilt if one of its sources, or of their headers, is newer."""
    out = paths.LAB / 'bin' / name
    headers = [header for directory in {source.parent for source in sources}
               for header in directory.glob('*.h')]
    newest = max(file.stat().st_mtime for file in [*sources, *headers])
    if out.exists() and out.stat().st_mtime > newest:
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    new = out.with_suffix('.new')
    command = [os.environ.get('CC', 'cc'), '-O2', '-g', '-Wall', '-Wextra', '-static',
               '-o', str(new), *map(str, sources), *extra]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise LabError(f'{" ".join(command)} failed:\n{done.stderr}')
    new.rename(out)
    return out


def busybox():
    for path in (paths.Path('/usr/bin/busybox'), paths.Path('/bin/busybox')):
        if path.is_file():
            return path
    raise LabError('busybox is missing; install the Debian package busybox-static')


def applets():
    done = subprocess.run([str(busybox()), '--list-full'], text=True,
                          stdout=subprocess.PIPE, check=True)
    return done.stdout.split()
