# SPDX-License-Identifier: GPL-2.0-or-later
"""The stream between the lab and the first process in L1.

See tests/lab/l1/labinit.c for the types.
"""

import struct

HEADER = struct.Struct('<cI')
LONGEST = 32768


def encode(kind, data):
    return HEADER.pack(kind, len(data)) + data


class Decoder:
    def __init__(self):
        self.pending = bytearray()

    def feed(self, data):
        """Yields (type, payload) of each frame that is complete."""
        self.pending += data
        while len(self.pending) >= HEADER.size:
            kind, length = HEADER.unpack_from(self.pending)
            if length > LONGEST:
                raise ValueError(f'frame {kind!r} of {length} bytes from L1')
            end = HEADER.size + length
            if len(self.pending) < end:
                return
            payload = bytes(self.pending[HEADER.size:end])
            del self.pending[:end]
            yield kind, payload
