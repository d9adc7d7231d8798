#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetch the newest kernel for the lab, before the tests that boot it.

'tests/lab/run --linux newest' would fetch it as well.  As a step of the build
the fetching does not count against a test's time.  Where the kernel cannot be
had, that step only warns, as a build that fails would stop all tests: those
that boot it try once more, and fail.
"""

import argparse
from pathlib import Path

from common import Failure, main, say, warn
from labkernel import errors, newest
from labkernel.lock import locked


def run():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--stamp", metavar="FILE", type=Path,
                        help="touch FILE, even if it cannot be had (for meson)")
    args = parser.parse_args()
    try:
        with locked():
            where = newest.ensure()
        say(f"Linux {(where / 'release').read_text().strip()} is in build/lab")
    except errors.LabError as error:
        if not args.stamp:
            raise Failure(str(error)) from None
        warn(f"tests on the newest kernel will fail: {error}")
    if args.stamp:
        args.stamp.touch()


if __name__ == "__main__":
    main(run)
