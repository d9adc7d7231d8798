# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest that is run and migrated in the lab (L2): its initrd."""

from . import compile as build
from . import paths
from .tree import Tree, stripped

SOURCE = paths.LAB_SRC / 'guest'


def tree():
    guest = Tree()
    for directory in ('proc', 'sys', 'dev', 'tmp', 'usr/bin', 'usr/sbin'):
        guest.directory(directory)
    # The kernel opens it before anything is mounted.
    guest.device('/dev/console', 0o020600, 5, 1)
    guest.link('/bin', 'usr/bin')
    guest.link('/sbin', 'usr/sbin')
    guest.file('/usr/bin/busybox', build.busybox(), 0o755)
    for applet in build.applets():
        if not applet.endswith('/busybox'):
            guest.link(f'/{applet}', '/usr/bin/busybox')
    for name in ('dirtyload', 'onliner'):
        program = build.static(name, [SOURCE / f'{name}.c'], ['-pthread'])
        guest.file(f'/usr/bin/{name}', program, 0o755, stripped)
    guest.file('/init', SOURCE / 'init', 0o755)
    return guest
