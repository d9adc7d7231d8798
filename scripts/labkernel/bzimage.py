# SPDX-License-Identifier: GPL-2.0-or-later
"""Takes the kernel proper out of a vmlinuz.

QEMU boots it directly (PVH entry), which saves the emulated host the seconds
that unpacking it by itself would take.
"""

import struct
import subprocess

from .errors import LabError

ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'


def payload(image):
    """The compressed part, by the offsets of the x86 boot protocol."""
    if image[0x202:0x206] != b'HdrS':
        raise LabError('vmlinuz is no x86 kernel image')
    setup_size = ((image[0x1f1] or 4) + 1) * 512
    offset, length = struct.unpack_from('<II', image, 0x248)
    start = setup_size + offset
    # The last 4 bytes are the size it unpacks to.
    return image[start:start + length - 4]


def unpack(vmlinuz, vmlinux):
    packed = payload(vmlinuz.read_bytes())
    if not packed.startswith(ZSTD_MAGIC):
        raise LabError(f'{vmlinuz} is not packed with zstd, as Debian\'s kernels are')
    with open(vmlinux, 'wb') as out:
        done = subprocess.run(['zstd', '-dcq'], input=packed, stdout=out,
                              stderr=subprocess.PIPE)
    if done.returncode:
        raise LabError(f'zstd -d of {vmlinuz}: {done.stderr.decode().strip()}')
