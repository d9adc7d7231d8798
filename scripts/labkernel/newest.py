# SPDX-License-Identifier: GPL-2.0-or-later
"""The newest Linux kernel that Debian 13's backports have, for L1.

Its guests keep the lab's usual kernel.  Taken is the newest version of which
all parts can be fetched: a mirror may list some that it does not have.  It is
kept until build/lab/kernel-newest is removed.
"""

import functools
import re
import shutil
import sys

from . import debs, paths
from .errors import LabError
from .kernel import finish, newer

IMAGE = re.compile(r'linux-image-([0-9.]+\+deb13(?:\.\d+)?-amd64)')
# Since Linux 6.19 the image is in two packages, and linux-image only wants them.
PARTS = ('linux-binary', 'linux-modules')

# How many kernels are asked for in vain.
TRIES = 4


def complete(available):
    """[(release, version, packages)] of all kernels there are, newest first."""
    found = []
    for package, versions in available.items():
        match = IMAGE.fullmatch(package)
        for version in versions if match else ():
            release = match[1]
            parts = [f'{part}-{release}' for part in PARTS
                     if version in available.get(f'{part}-{release}', ())]
            if len(parts) == len(PARTS):
                found.append((release, version, parts))
            elif not any(f'{part}-{release}' in available for part in PARTS):
                found.append((release, version, [package]))
    return sorted(found, reverse=True, key=functools.cmp_to_key(
        lambda a, b: newer(a[1], b[1]) - newer(b[1], a[1])))


def ensure():
    """Directory with vmlinux, modules/ and the files release and version."""
    if all((paths.NEWEST_KERNEL / name).is_file() for name in ('version', 'vmlinux')):
        return paths.NEWEST_KERNEL
    work = paths.LAB / 'kernel-newest.new'
    release, version = fetch(work)
    return finish(work, vmlinuz(work / 'root', release), release, version,
                  paths.NEWEST_KERNEL)


def fetch(work):
    """Unpack the newest kernel that can be had; (release, version)."""
    error = None
    for tries in (1, TRIES):
        if error:
            # A newer version may have taken its place on the mirror.
            debs.refresh()
        for release, version, packages in complete(debs.available())[:tries]:
            try:
                fetch_one(work, version, packages)
                return release, version
            except LabError as e:
                error = error or e
                print(f'lab: {release} cannot be fetched', file=sys.stderr, flush=True)
    raise LabError('no kernel of trixie-backports can be fetched; the mirror may be in between '
                   'two states: try again later'
                   + (f'.  Of the newest apt says:\n{error}' if error else ''))


def fetch_one(work, version, packages):
    shutil.rmtree(work, ignore_errors=True)
    for package in packages:
        print(f'lab: fetching {package} {version}', file=sys.stderr, flush=True)
        deb = debs.download(package, version, work)
        debs.extract(deb, work / 'root')
        deb.unlink()


def vmlinuz(root, release):
    for path in (root / 'usr/lib/modules' / release / 'vmlinuz',
                 root / 'boot' / f'vmlinuz-{release}'):
        if path.is_file():
            return path
    raise LabError(f'the packages of Linux {release} have no vmlinuz where it is looked for')
