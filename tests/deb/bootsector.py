# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest of 512 bytes: it counts on the serial port, 0 to 9, for ever."""

CODE = bytes([
    0xB3, ord('0'),             #       mov  $'0', %bl
    0xBA, 0xF8, 0x03,           # next: mov  $0x3f8, %dx
    0x88, 0xD8,                 #       mov  %bl, %al
    0xEE,                       #       out  %al, %dx
    0xFE, 0xC3,                 #       inc  %bl
    0x80, 0xFB, ord('9') + 1,   #       cmp  $'9' + 1, %bl
    0x75, 0x02,                 #       jne  wait
    0xB3, ord('0'),             #       mov  $'0', %bl
    0x31, 0xC9,                 # wait: xor  %cx, %cx
    0xE2, 0xFE,                 # spin: loop spin
    0xEB, 0xEB,                 #       jmp  next
])


def write(path):
    """As a disk, of the size of which there are disks."""
    sector = CODE.ljust(510, b'\0') + b'\x55\xaa'
    path.write_bytes(sector.ljust(1 << 20, b'\0'))


def counts(text):
    """Whether TEXT is digits in this order, without a gap."""
    return text.isdigit() and all(
        int(after) == (int(before) + 1) % 10
        for before, after in zip(text, text[1:]))
