# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes initramfs archives (cpio, "newc" format)."""

import os
import stat

TRAILER = 'TRAILER!!!'


class Writer:
    """One archive, appended to a file opened for binary writing."""

    def __init__(self, out):
        self.out = out
        self.ino = 0
        self.pos = 0

    def add(self, name, mode, data=b'', rdev=(0, 0)):
        """One member. mode includes the type bits; data of a link is its target."""
        self.ino += 1
        encoded = name.encode() + b'\0'
        fields = (self.ino, mode, 0, 0, 2 if stat.S_ISDIR(mode) else 1, 0,
                  len(data), 0, 0, *rdev, len(encoded), 0)
        self._put(b'070701' + b''.join(b'%08X' % f for f in fields) + encoded)
        self._put(data)

    def close(self):
        self.ino = -1   # so that the trailer gets number 0
        self.add(TRAILER, 0)

    def _put(self, data):
        self.out.write(data)
        self.pos += len(data)
        pad = -self.pos % 4
        self.out.write(b'\0' * pad)
        self.pos += pad


def pad_to(out, align):
    """Archives that follow each other in one file start at multiples of 4."""
    out.write(b'\0' * (-os.fstat(out.fileno()).st_size % align))
