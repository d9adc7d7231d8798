# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches for the kernel, and how what is built with them says so.

Beside each thing built is a stamp that tells of what.
"""

import hashlib

# KVM's modules.
BUILT = ('kvm', 'kvm-amd', 'kvm-intel')
STAMP = 'stamp.json'


def series(directory):
    """The patches in a directory, in the order 'git am' takes them.

    A cover letter (0000-*) is text, no patch.
    """
    return sorted(file for file in directory.glob('*.patch')
                  if not file.name.startswith('0000'))


def digest(files):
    """Changes when one of the patches does."""
    total = hashlib.sha256()
    for file in files:
        total.update(file.name.encode() + b'\0' + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()
