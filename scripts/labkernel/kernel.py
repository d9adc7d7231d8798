# SPDX-License-Identifier: GPL-2.0-or-later
"""The Linux kernel of the lab: Debian's stock one, fetched, never installed.

The same kernel serves in L1 and, as its guest, in L2.  Taken is the newest
version for which image, both headers packages and the source are all there,
because modules for it may have to be built.
"""

import lzma
import re
import shutil
import subprocess
import sys
from pathlib import Path

from . import bzimage, debs, paths
from .errors import LabError

SOURCE = 'linux-source-6.12'

# In loading order.
KVM_MODULES = ('virt/lib/irqbypass', 'drivers/crypto/ccp/ccp',
               'arch/x86/kvm/kvm', 'arch/x86/kvm/kvm-amd')
NET_MODULES = ('net/core/failover', 'drivers/net/net_failover',
               'drivers/net/virtio_net')
# Native mode, when it is tested in the lab.
MODULES = KVM_MODULES + NET_MODULES + ('fs/overlayfs/overlay',)


def newest_complete(available):
    """(release, version) of the newest kernel with all its packages there."""
    sources = available.get(SOURCE, set())
    best = None
    for package, versions in available.items():
        match = re.fullmatch(r'linux-image-(6\.12\.[0-9.]+\+deb12(?:\.\d+)?)-amd64', package)
        if not match:
            continue
        base = match[1]
        for version in versions & sources:
            if all(version in available.get(f'linux-headers-{base}-{what}', ())
                   for what in ('amd64', 'common')):
                if best is None or newer(version, best[1]):
                    best = (f'{base}-amd64', version)
    if best is None:
        raise LabError(f'bookworm-backports has no version for which linux-image, '
                       f'linux-headers and {SOURCE} are all there; '
                       'the mirror may be in between two states: try again later')
    return best


def newer(a, b):
    return subprocess.run(['dpkg', '--compare-versions', a, 'gt', b]).returncode == 0


def ensure():
    """Directory with vmlinuz, vmlinux, modules/ and the files release and version."""
    want = ['version', 'vmlinux', *(f'modules/{Path(name).name}.ko' for name in MODULES)]
    if all((paths.KERNEL / name).is_file() for name in want):
        return paths.KERNEL
    work = paths.LAB / 'kernel.new'
    shutil.rmtree(work, ignore_errors=True)
    release, version, deb = fetch(work)
    debs.extract(deb, work / 'root')
    deb.unlink()
    shutil.copy(work / 'root' / 'boot' / f'vmlinuz-{release}', work / 'vmlinuz')
    shutil.copy(work / 'root' / 'boot' / f'config-{release}', work / 'config')
    return finish(work, work / 'vmlinuz', release, version, paths.KERNEL)


def finish(work, vmlinuz, release, version, where):
    """Of packages unpacked to WORK/root, keep what the lab takes, as WHERE; returns that."""
    bzimage.unpack(vmlinuz, work / 'vmlinux')
    unpack_modules(work / 'root', release, work / 'modules')
    shutil.rmtree(work / 'root')
    (work / 'release').write_text(release + '\n')
    (work / 'version').write_text(version + '\n')
    shutil.rmtree(where, ignore_errors=True)
    work.rename(where)
    return where


def unpack_modules(root, release, into):
    """Those that the lab loads, of a package unpacked to ROOT."""
    into.mkdir()
    for module in MODULES:
        for lib in ('lib', 'usr/lib'):
            packed = root / lib / 'modules' / release / 'kernel' / f'{module}.ko.xz'
            if packed.is_file():
                break
        else:
            raise LabError(f'the packages of Linux {release} have no {module}.ko.xz')
        (into / f'{Path(module).name}.ko').write_bytes(lzma.decompress(packed.read_bytes()))


def fetch(into):
    for lists_are_new in (False, True):
        release, version = newest_complete(debs.available())
        package = f'linux-image-{release}'
        print(f'lab: fetching {package} {version}', file=sys.stderr, flush=True)
        try:
            return release, version, debs.download(package, version, into)
        except LabError:
            if lists_are_new:
                raise
            # A newer version may have taken its place on the mirror.
            debs.refresh()
    return None


def release():
    return (paths.KERNEL / 'release').read_text().strip()
