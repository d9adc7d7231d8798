#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks the judge: what the oracle must see and how it names it.

Needs no virtual machine.
"""

import os
import sys
import tempfile
from pathlib import Path

# What dirtylab needs; in the lab that lies beside it.
sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))

from dirtylab import guest, oracle
from dirtylab.tap import Tap

PAGES = 700                     # more than one chunk, and not a whole number


def stamped(thread, page, seq, ms):
    check = oracle.MAGIC ^ (page << 32 | thread) ^ seq ^ ms
    head = oracle.STAMP.pack(oracle.MAGIC, thread, page, seq, ms, check)
    return head + bytes(oracle.PAGE - len(head))


class Pair:
    """Two images, alike until one is changed."""

    def __init__(self, directory):
        self.paths = [os.path.join(directory, n) for n in ("a", "b")]
        for path in self.paths:
            with open(path, "wb") as f:
                f.truncate(PAGES * oracle.PAGE)

    def write(self, which, page, data, at=0):
        with open(self.paths[which], "r+b") as f:
            f.seek(page * oracle.PAGE + at)
            f.write(data)

    def both(self, page, data):
        self.write(0, page, data)
        self.write(1, page, data)

    def compare(self, **kw):
        return oracle.compare(*self.paths, **kw)


def images(tap, directory):
    pair = Pair(directory)
    for page in range(0, PAGES, 3):
        pair.both(page, stamped(1, page, 100 + page, 5000))
    result = pair.compare()
    tap.ok(result.same and result.pages == PAGES,
           f"equal images: all {PAGES} pages compared, none differs",
           str(result))

    for page in (0, 255, 256, PAGES - 1):
        for at in (0, oracle.PAGE - 1):
            with open(pair.paths[1], "rb") as f:
                f.seek(page * oracle.PAGE + at)
                old = f.read(1)
            pair.write(1, page, bytes([old[0] ^ 1]), at)
            result = pair.compare()
            tap.ok(result.differing == 1 and result.details[0].page == page,
                   f"one bit in byte {at} of page {page} is seen",
                   str(result))
            pair.write(1, page, old, at)

    pair.write(0, 300, stamped(1, 300, 777, 6000))
    pair.write(1, 301, stamped(1, 301, 1, 6000))
    pair.write(0, 302, stamped(2, 9, 55, 6000))
    result = pair.compare()
    told = [d.describe() for d in result.details]
    tap.ok(result.differing == 3 and result.stamped == 3,
           "three pages differ", told)
    tap.ok("write 777 is lost, the destination has write 400, 1000 ms older"
           in told[0], "an older write is named", told[0])
    tap.ok("zeros on the source" in told[1],
           "a page that should be empty is named", told[1])
    tap.ok("write 55 is lost, the destination has zeros" in told[2],
           "a page that never came is named", told[2])
    tap.ok(len(pair.compare(keep=1).details) == 1,
           "no more are explained than was asked for")

    with open(pair.paths[1], "r+b") as f:
        f.truncate((PAGES - 1) * oracle.PAGE)
    try:
        pair.compare()
        tap.ok(False, "images of different sizes are refused")
    except ValueError as err:
        tap.ok(str(oracle.PAGE * PAGES) in str(err),
               "images of different sizes are refused", str(err))


def stamps(tap):
    page = stamped(3, 4, 5, 6)
    tap.ok(oracle.read_stamp(page) == oracle.Stamp(3, 4, 5, 6),
           "a stamp is read")
    torn = bytearray(page)
    torn[16] ^= 1
    tap.ok(oracle.read_stamp(bytes(torn)) is None, "a torn stamp is none")
    tap.ok(oracle.read_stamp(bytes(oracle.PAGE)) is None, "zeros are none")


def console(tap, directory):
    path = os.path.join(directory, "console")
    con = guest.Console(path)
    tap.ok(con.poll() is None, "a console that is not there yet is empty")
    with open(path, "ab", buffering=0) as f:
        f.write(b"dirtyload t=1000 w=5 total=10\r\ndirtyload t=11")
        con.poll()
        f.write(b"00 w=7 total=17\r\n")
        f.write(b"dirtyload CORRUPT thread=0 page=1 have=2 want=3\r\n")
        con.poll()
    tap.ok([(s.t, s.wps, s.total) for s in con.samples]
           == [(1.0, 5, 10), (1.1, 7, 17)], "a line in two pieces is one line",
           str([(s.t, s.wps, s.total) for s in con.samples]))
    tap.ok(len(con.corrupt) == 1, "the guest's complaint is noticed")
    mean = guest.rate(con.samples)
    tap.ok(abs(mean - 70) < 0.001, "a rate is of the guest's own clock",
           str(mean))


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory() as directory:
        images(tap, directory)
        console(tap, directory)
    stamps(tap)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
