# SPDX-License-Identifier: GPL-2.0-or-later
"""Results as files of JSON, one for each row."""

import hashlib
import json
import os
import subprocess
import time

from . import paths
from .errors import BenchError

FORMAT = 1


def path(row):
    return paths.RESULTS / f"{row}.json"


def program(file):
    """What was measured: the start of a hash, and QEMU's version."""
    with open(file, "rb") as f:
        found = {"sha256": hashlib.sha256(f.read()).hexdigest()[:16]}
    if file.name.startswith("qemu"):
        done = subprocess.run([str(file), "--version"], capture_output=True,
                              text=True, check=False)
        found["version"] = done.stdout.partition("\n")[0] or "?"
    return found


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "?"


def new(row, programs, smp):
    return {"format": FORMAT, "row": row, "smp": smp,
            "made": time.strftime("%Y-%m-%d %H:%M:%S"),
            "processor": processor(), "processors": os.cpu_count(),
            "programs": {name: program(file)
                         for name, file in programs.items()},
            "runs": [], "failures": []}


def load(row):
    """A row's results; None if there are none."""
    try:
        with open(path(row), encoding="utf-8") as f:
            found = json.load(f)
    except FileNotFoundError:
        return None
    except ValueError as err:
        raise BenchError(f"{path(row)}: {err}") from err
    if found.get("format") != FORMAT:
        raise BenchError(f"{path(row)} is of another format: measure again")
    return found


def added_to(old, fresh):
    """`old` as what the new runs are added to; both must be of the same
    programs, in the same lab."""
    if old["smp"] != fresh["smp"]:
        raise BenchError(f"--add: {path(old['row'])} was measured with --smp "
                         f"{old['smp']}")
    for name, what in fresh["programs"].items():
        if old["programs"].get(name) != what:
            raise BenchError(
                f"--add: {path(old['row'])} was measured with another build "
                f"of {name}; measure anew, without --add")
    return old


def save(results):
    """Whole or not at all: a run may be interrupted."""
    target = path(results["row"])
    target.parent.mkdir(parents=True, exist_ok=True)
    temp = target.with_suffix(".json.new")
    with open(temp, "w", encoding="utf-8") as f:
        json.dump(results, f, indent=1)
        f.write("\n")
    temp.rename(target)
