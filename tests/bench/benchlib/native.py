# SPDX-License-Identifier: GPL-2.0-or-later
"""Row native: runs the benchmark program that needs no virtual machine."""

import json
import subprocess

from . import paths
from .errors import BenchError


def program():
    """The built program, or BenchError."""
    for path in (paths.NATIVE, paths.NATIVE / "native"):
        if path.is_file():
            return path
    raise BenchError(f"{paths.NATIVE} is not there: it was not built")


def once(path, turn):
    """One run of the program, as results."""
    done = subprocess.run([str(path), "--json"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)
    if done.returncode:
        raise BenchError(f"{path} ended with status {done.returncode}: "
                         f"{done.stderr.strip()}")
    try:
        found = json.loads(done.stdout)
    except ValueError as err:
        raise BenchError(f"{path} did not print JSON: {err}") from err
    return [{**place, "round": turn, "figures": figures}
            for place, figures in places(found)]


def places(found):
    """Pairs of (who and size, figures). The program's keys are WHAT or
    WHO_WHAT; what it says of one size is in an object with that number."""
    for group, content in found.items():
        if not isinstance(content, dict):
            yield {"who": "ours"}, {group: content}
            continue
        sizes = {key: value for key, value in content.items()
                 if isinstance(value, dict)}
        for gib, values in sizes.items():
            yield from of_both(group, values, float(gib))
        yield from of_both(group, {key: value for key, value
                                   in content.items() if key not in sizes})


def of_both(group, values, gib=None):
    split = {}
    for key, value in values.items():
        who, _, what = key.partition("_")
        if who not in ("ours", "upstream"):
            who, what = "ours", key
        split.setdefault(who, {})[f"{group}-{what.replace('_', '-')}"] = value
    for who, figures in split.items():
        yield {"who": who, "config": None, "gib": gib}, figures
