# SPDX-License-Identifier: GPL-2.0-or-later
"""The root of a host with libvirt: a Debian made by mmdebstrap, once.

What belongs to the project (kernel modules, QEMU, drivers) comes in layers of
its own on top; so this changes only with its list of packages.
"""

import hashlib
import shlex
import shutil
import stat
import subprocess
import sys
import tarfile

from . import cpio, debroot, paths
from .errors import LabError
from .tree import canonical

PACKAGES = ('libvirt-daemon', 'libvirt-daemon-driver-qemu', 'libvirt-clients',
            'python3', 'python3-libvirt', 'iproute2', 'kmod', 'procps')
# --libvirt NAME: where libvirt comes from.
SUITES = {'bookworm': (), 'backports': ('-t', 'bookworm-backports')}
# Nobody reads there.
LEFT_OUT = ('/usr/share/doc/*', '/usr/share/man/*', '/usr/share/locale/*', '/usr/share/info/*',
            '/var/lib/apt/lists/*', '/var/cache/apt/*')
SSH = ('openssh-client', 'openssh-server')
# As docs/packages.md has it.
INSTALL = ('chroot "$1" sh -ec "export DEBIAN_FRONTEND=noninteractive; '
           'apt-get -qq -y --no-install-recommends install /tmp/*.deb > /dev/null; '
           'rm /tmp/*.deb"')
# libvirt wants to know them, even where QEMU runs as root.
HOOK = ('chroot "$1" sh -c "getent group kvm >/dev/null || groupadd -r kvm; '
        'getent passwd libvirt-qemu >/dev/null || useradd -r -U -d /var/lib/libvirt libvirt-qemu"')


class HostRoot:
    """Like a layer of image.py: an archive, and the paths in it."""

    def __init__(self, where, deb=None):
        """deb: a package that is installed there too, as by an administrator,
        who also wants ssh between the hosts."""
        self.where = where
        self.deb = deb
        self.packages = PACKAGES + (SSH if deb else ())
        wanted = repr((self.packages, SUITES[where], LEFT_OUT, HOOK))
        if deb:
            wanted += INSTALL + hashlib.sha256(deb.read_bytes()).hexdigest()
        self.key = hashlib.sha256(wanted.encode()).hexdigest()[:20]
        self.kind = f'hostroot-{where}-{"deb-" if deb else ""}'
        self.archive = paths.LAB / 'images' / f'{self.kind}{self.key}.cpio'
        self.listed = self.archive.with_suffix('.paths')
        self.tree = self

    def paths(self):
        return self.listed.read_text().splitlines()

    def ensure(self):
        """Called under the lock."""
        if not self.archive.exists():
            self.make()
        self.file = open(self.archive, 'rb')
        return self

    def make(self):
        ensure_mmdebstrap()
        print(f'lab: making a Debian with libvirt ({self.where}), once', file=sys.stderr,
              flush=True)
        self.archive.parent.mkdir(parents=True, exist_ok=True)
        self.remove_old()
        new = self.archive.with_suffix('.new')
        with subprocess.Popen(self.command(), stdout=subprocess.PIPE) as process, \
                open(new, 'wb') as out:
            with tarfile.open(fileobj=process.stdout, mode='r|') as tar:
                found = convert(tar, out)
        if process.returncode:
            raise LabError(f'mmdebstrap failed with status {process.returncode}')
        self.listed.write_text('\n'.join(found) + '\n')
        new.rename(self.archive)

    def remove_old(self):
        """A new package makes a new root; none is of use without its key."""
        key = '[0-9a-f]' * len(self.key)
        for stale in self.archive.parent.glob(f'{self.kind}{key}.*'):
            stale.unlink()

    def command(self):
        """bookworm's packages; from another suite only libvirt's own."""
        options = [word for path in LEFT_OUT
                   for word in ('--dpkgopt', f'path-exclude={path}')]
        if SUITES[self.where]:
            suite = SUITES[self.where][1]
            options += ['--essential-hook',
                        'printf "Package: libvirt* python3-libvirt\\nPin: release '
                        f'n={suite}\\nPin-Priority: 900\\n" > "$1/etc/apt/preferences.d/lab"']
        options += ['--include', ','.join(self.packages), '--customize-hook', HOOK]
        if self.deb:
            options += ['--customize-hook', f'copy-in {shlex.quote(str(self.deb))} /tmp',
                        '--customize-hook', INSTALL]
        return debroot.command('bookworm', '-', debroot.bookworm(), options)


def ensure_mmdebstrap():
    if shutil.which('mmdebstrap'):
        return
    done = subprocess.run(['sh', str(paths.TOP / 'scripts' / 'packages'), 'ensure', 'hosts'],
                          stdout=sys.stderr)
    if done.returncode or not shutil.which('mmdebstrap'):
        raise LabError('hosts with libvirt need the Debian package mmdebstrap')


def convert(tar, out):
    """A tar as initramfs; returns the paths of all but directories."""
    writer = cpio.Writer(out)
    found = []
    contents = {}               # of what later members are hard links to
    for member in tar:
        name = canonical(member.name)
        if name == '.' or name.startswith('dev/'):
            continue
        mode = stat.S_IMODE(member.mode)
        if member.isdir():
            writer.add(name, stat.S_IFDIR | mode)
            continue
        if member.issym():
            writer.add(name, stat.S_IFLNK | 0o777, member.linkname.encode())
        elif member.islnk():
            writer.add(name, stat.S_IFREG | mode, contents[member.linkname])
        elif member.isreg():
            data = tar.extractfile(member).read()
            contents[member.name] = data
            writer.add(name, stat.S_IFREG | mode, data)
        else:
            continue            # no devices: devtmpfs has them
        found.append(name)
    writer.close()
    return found
