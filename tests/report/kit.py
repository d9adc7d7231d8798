# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of scripts/migration-report share."""

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PROGRAM = TOP / "scripts" / "migration-report"
sys.dont_write_bytecode = True
sys.path[:0] = [str(TOP / "scripts"), str(TOP / "tests" / "lib")]

from dirtylab.tap import Tap

TIMEOUT = 60


def check(tap, have, want, name):
    return tap.ok(have == want, name, f"have {have!r}\nwant {want!r}")


def near(tap, have, want, within, name):
    return tap.ok(have is not None and abs(have - want) <= within, name,
                  f"have {have!r}, want {want!r} within {within}")


def command(*args):
    return ["/usr/bin/python3", str(PROGRAM), *map(str, args)]


def run(*args, cwd=None, env=None):
    """The tool, to its end; from another directory unless one is given."""
    return subprocess.run(command(*args), cwd=cwd or "/", env=env,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=TIMEOUT, check=False)


def one_line(tap, done, words, name):
    """The tool failed, and said why in one line without a traceback."""
    said = done.stderr.strip().splitlines()
    tap.ok(done.returncode == 1 and len(said) == 1
           and said[0].startswith("migration-report: ") and words in said[0],
           name, f"status {done.returncode}: {done.stderr}{done.stdout}")


def tests(*functions, named=()):
    """Run each with a Tap, or those named on the command line; what one raises
    is a failure.  Ends the program."""
    tap = Tap()
    for function in functions:
        if named and function.__name__ not in named:
            continue
        tap.prefix = f"{function.__name__}: "
        try:
            function(tap)
        except Exception as err:
            tap.ok(False, "ran to its end", f"{type(err).__name__}: {err}")
            import traceback
            tap.note(traceback.format_exc())
    tap.prefix = ""
    sys.exit(tap.end())
