# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares memory that two hosts hold, without sending it.

Chunk by chunk by a digest; of chunks that differ, page by page.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

PAGE = 4096
CHUNK = 1 << 20
ZEROS = {size: bytes(size) for size in (PAGE, CHUNK)}


def _digest(data):
    """Short for what is all zero, which is quick to see."""
    if data == ZEROS.get(len(data)):
        return ""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


class Memory:
    """A file with a guest's memory, kept open: it may be deleted."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_RDONLY)

    def _parts(self, start, end, size):
        end = min(end, os.fstat(self._fd).st_size)
        return [_digest(os.pread(self._fd, min(size, end - at), at))
                for at in range(start, end, size)]

    def chunks(self):
        """A digest of each chunk."""
        return self._parts(0, 1 << 62, CHUNK)

    def pages(self, chunk):
        """A digest of each page of a chunk."""
        return self._parts(chunk * CHUNK, (chunk + 1) * CHUNK, PAGE)

    def close(self):
        os.close(self._fd)


def differing(a, b):
    """(number of pages compared, numbers of those that differ). Both have
    chunks() and pages(), here or on another host. ValueError if they are not
    of the same size."""
    with ThreadPoolExecutor() as both:
        here, there = both.map(lambda memory: memory.chunks(), (a, b))
    if len(here) != len(there) or not here:
        raise ValueError(f"{len(here)} and {len(there)} MiB to compare")
    each = CHUNK // PAGE
    found = []
    for number, pair in enumerate(zip(here, there)):
        if pair[0] != pair[1]:
            both = zip(a.pages(number), b.pages(number))
            found += [number * each + page
                      for page, (x, y) in enumerate(both) if x != y]
    return len(here) * each, found
