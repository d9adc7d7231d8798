# SPDX-License-Identifier: GPL-2.0-or-later
"""What L1 runs on: layers of files, each cached until one of its inputs changes.

base      system, Python, firmware, kernel modules, guest: changes rarely
modules   those of the newest kernel, for --linux newest
qemu      our QEMU; changes with every build
upstream  the unchanged QEMU, if built
run       command, drivers, files to copy: made for each run (see runlayer.py)
"""

import sys

from labkernel import kernel, newest
from labkernel.lock import locked

from . import compile as build
from . import guest, hostroot, paths, pyruntime
from .tree import Tree, stripped

IMAGES = paths.LAB / 'images'
QEMU_ROOT = '/opt/qemu'
UPSTREAM_ROOT = '/opt/upstream'
GUEST_ROOT = '/opt/guest'
FIRMWARE = ('bios*.bin', 'vgabios*.bin', 'kvmvapic.bin', 'linuxboot*.bin',
            'multiboot*.bin', 'pvh.bin', 'qboot.rom', 'efi-virtio.rom',
            'efi-e1000*.rom', 'pxe-virtio.rom', 'pxe-e1000.rom', 'keymaps/*')


class Layer:
    """A tree and the archive made of it."""

    def __init__(self, name, tree):
        self.name = name
        self.tree = tree
        self.key = tree.key()
        self.archive = IMAGES / f'{name}-{self.key}.cpio'

    def ensure(self):
        """Called under the lock. Keeps it open: a later run may remove it."""
        if not self.archive.exists():
            print(f'lab: packing the {self.name} image', file=sys.stderr, flush=True)
            IMAGES.mkdir(parents=True, exist_ok=True)
            new = self.archive.with_suffix('.new')
            with open(new, 'wb') as out:
                self.tree.pack(out)
            new.rename(self.archive)
            self._remove_old()
        self.file = open(self.archive, 'rb')
        return self

    def _remove_old(self, keep=3):
        found = sorted(IMAGES.glob(f'{self.name}-*.cpio'),
                       key=lambda p: p.stat().st_mtime, reverse=True)
        for stale in found[keep:]:
            stale.unlink(missing_ok=True)


def layers(linux='6.12'):
    with locked():
        kernel.ensure()
        base = base_tree()
        return upper([Layer('base', base).ensure()], base.paths(), linux)


def host_layers(linux, libvirt, deb=None):
    """Of a host with libvirt: Debian, what the lab adds to it, and QEMU.  In
    that Debian, the package DEB."""
    with locked():
        kernel.ensure()
        root = hostroot.HostRoot(libvirt, deb).ensure()
        return upper([root, Layer('host', host_tree()).ensure()], root.paths(), linux)


def upper(found, below, linux):
    """On top of what is found: modules of a kernel that is not the usual one,
    and the QEMUs."""
    if linux == 'newest':
        newest.ensure()
        tree = Tree(below)
        add_modules(tree, linux)
        found.append(Layer('modules', tree).ensure())
    found.append(Layer('qemu', qemu_tree(paths.qemu(), QEMU_ROOT, below)).ensure())
    if paths.UPSTREAM_QEMU.is_file():
        tree = qemu_tree(paths.UPSTREAM_QEMU, UPSTREAM_ROOT, below)
        found.append(Layer('upstream', tree).ensure())
    return found


def base_tree():
    tree = Tree()
    add_skeleton(tree)
    add_busybox(tree)
    add_firmware(tree)
    add_modules(tree)
    add_guest(tree)
    pyruntime.add(tree)
    pyruntime.add_package(tree, '/opt/lab/qemu/qmp', paths.qemu_python() / 'qemu' / 'qmp')
    add_init(tree)
    return tree


def add_init(tree):
    sources = sorted((paths.LAB_SRC / 'l1').glob('labinit*.c'))
    tree.file('/init', build.static('labinit', sources), 0o755, stripped)


def host_tree():
    tree = Tree()
    tree.directory('/run')
    tree.device('/dev/console', 0o020600, 5, 1)
    tree.text('/etc/hosts', '127.0.0.1 localhost\n10.0.0.1 host1\n10.0.0.2 host2\n')
    # Where libvirt looks for an emulator that nobody named.
    tree.link('/usr/bin/qemu-system-x86_64', f'{QEMU_ROOT}/bin/qemu-system-x86_64')
    for name in ('libvirtd.conf', 'qemu.conf'):
        tree.file(f'/etc/libvirt/{name}', paths.LAB_SRC / 'hosts' / name, 0o644)
    add_firmware(tree)
    add_modules(tree)
    add_guest(tree)
    add_init(tree)
    return tree


def add_skeleton(tree):
    for name in ('bin', 'sbin', 'lib', 'lib64'):
        tree.directory(f'/usr/{name}')
        tree.link(f'/{name}', f'usr/{name}')
    for name in ('dev', 'proc', 'sys', 'tmp', 'run', 'root', 'etc', 'var', 'mnt'):
        tree.directory(f'/{name}')
    # The kernel opens it before anything is mounted.
    tree.device('/dev/console', 0o020600, 5, 1)
    tree.link('/var/tmp', '../tmp')
    tree.text('/etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n')
    tree.text('/etc/group', 'root:x:0:\n')
    tree.text('/etc/hosts', '127.0.0.1 localhost lab\n')
    tree.text('/etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files\n')


def add_busybox(tree):
    tree.file('/usr/bin/busybox', build.busybox(), 0o755)
    for applet in build.applets():
        if not applet.endswith('/busybox'):
            tree.link(f'/{applet}', '/usr/bin/busybox')


def add_firmware(tree):
    """All in one place, linked from wherever QEMU was configured to look."""
    for where in paths.FIRMWARE_DIRS:
        for pattern in FIRMWARE:
            for file in sorted(where.glob(pattern)):
                tree.file(f'/usr/share/qemu/{file.relative_to(where)}', file, 0o644)
    for link in ('/usr/share/seabios', '/usr/lib/ipxe/qemu',
                 f'{QEMU_ROOT}/share/qemu', f'{UPSTREAM_ROOT}/share/qemu'):
        tree.link(link, '/usr/share/qemu')


def add_modules(tree, linux='6.12'):
    for module in sorted((paths.KERNELS[linux] / 'modules').glob('*.ko')):
        tree.file(f'{paths.MODULES[linux]}/{module.name}', module, 0o644)


def add_guest(tree):
    initrd = Layer('guest', guest.tree()).ensure()
    tree.file(f'{GUEST_ROOT}/vmlinuz', paths.KERNEL / 'vmlinuz', 0o644)
    tree.file(f'{GUEST_ROOT}/initrd', initrd.archive, 0o644)


def qemu_tree(program, root, below):
    tree = Tree(below)
    tree.program(f'{root}/bin/qemu-system-x86_64', program, stripped)
    return tree
