# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares two RAM images, whole, and explains the pages that differ.

Files are read with pread rather than mapped: holes stay holes, and no page
fault is taken per page, which under emulation costs more than the copy.
"""

import dataclasses
import os
import struct

PAGE = 4096
CHUNK = 1 << 20

# The head of a page the guest's load generator wrote: magic, thread, its page,
# the number of the write, when, and all of it xored together.
STAMP = struct.Struct("<QIIQQQ")
MAGIC = int.from_bytes(b"QDTDMAP1", "little")


@dataclasses.dataclass
class Stamp:
    thread: int
    page: int
    seq: int
    ms: int


def read_stamp(data):
    """The stamp at the head of a page, or None if it is not one."""
    magic, thread, page, seq, ms, check = STAMP.unpack_from(data)
    if magic != MAGIC or check != magic ^ (page << 32 | thread) ^ seq ^ ms:
        return None
    return Stamp(thread, page, seq, ms)


@dataclasses.dataclass
class Difference:
    page: int                       # index in the file
    source: Stamp | None
    destination: Stamp | None
    bytes: int                      # how many bytes differ
    first: int                      # where in the page
    zero_source: bool
    zero_destination: bool

    def describe(self):
        head = f"page {self.page} (offset {self.page * PAGE:#x}): "
        a, b = self.source, self.destination
        if a and b and (a.thread, a.page) == (b.thread, b.page):
            return head + (f"load thread {a.thread} page {a.page}: write "
                           f"{a.seq} is lost, the destination has write "
                           f"{b.seq}, {a.ms - b.ms} ms older")
        if a and self.zero_destination:
            return head + (f"load thread {a.thread} page {a.page}: write "
                           f"{a.seq} is lost, the destination has zeros")
        if a:
            return head + (f"load thread {a.thread} page {a.page}: write "
                           f"{a.seq} is lost, the destination has other data")
        if self.zero_destination:
            return head + "not the load's; zeros on the destination"
        if self.zero_source:
            return head + "not the load's; zeros on the source"
        return head + (f"not the load's; {self.bytes} bytes differ, the "
                       f"first at {self.first:#x}")


@dataclasses.dataclass
class Comparison:
    pages: int = 0
    differing: int = 0
    stamped: int = 0                # differing pages that carry a stamp
    details: list = dataclasses.field(default_factory=list)

    @property
    def same(self):
        return self.differing == 0 and self.pages > 0


def _explain(page, a, b):
    where = [i for i in range(PAGE) if a[i] != b[i]]
    zero = bytes(PAGE)
    return Difference(page, read_stamp(a), read_stamp(b), len(where),
                      where[0], a == zero, b == zero)


def _fill(fd, buffer, offset, length):
    view = memoryview(buffer)[:length]
    done = 0
    while done < length:
        n = os.preadv(fd, [view[done:]], offset + done)
        if n == 0:
            raise EOFError("a RAM file became shorter while it was read")
        done += n


def compare(source, destination, keep=16):
    """Compare every page of two files; `keep` differences are explained."""
    result = Comparison()
    with open(source, "rb", buffering=0) as fa, \
         open(destination, "rb", buffering=0) as fb:
        size = os.fstat(fa.fileno()).st_size
        other = os.fstat(fb.fileno()).st_size
        if size != other or size == 0 or size % PAGE:
            raise ValueError(f"cannot compare: {source} has {size} bytes, "
                             f"{destination} {other}")
        a, b = bytearray(CHUNK), bytearray(CHUNK)
        for offset in range(0, size, CHUNK):
            length = min(CHUNK, size - offset)
            if length != len(a):
                a, b = bytearray(length), bytearray(length)
            _fill(fa.fileno(), a, offset, length)
            _fill(fb.fileno(), b, offset, length)
            result.pages += length // PAGE
            if a == b:
                continue
            for p in range(0, length, PAGE):
                pa, pb = a[p:p + PAGE], b[p:p + PAGE]
                if pa == pb:
                    continue
                result.differing += 1
                if read_stamp(pa) or read_stamp(pb):
                    result.stamped += 1
                if len(result.details) < keep:
                    result.details.append(
                        _explain((offset + p) // PAGE, pa, pb))
    return result
