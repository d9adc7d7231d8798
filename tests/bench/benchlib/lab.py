# SPDX-License-Identifier: GPL-2.0-or-later
"""Carries out a plan in one boot of the lab."""

import json
import subprocess
import tempfile

from . import paths
from .errors import BenchError

MARK = b"##BENCH "
# What runs in the lab has its own time limits, which tell more than this one.
PATIENCE = 5


def options(row, smp):
    """What sort of lab a row is measured in."""
    found = ["--mem", str(row.mem), "--smp", str(smp)]
    if row.patched:
        found += ["--kvm", "patched"]
    if row.selftests:
        found += ["--copy", f"{paths.SELFTESTS}:/opt/kselftest"]
    return found


def carry_out(plan, expected, seconds, sort, done):
    """Calls `done(result)` for each of so many expected results. `seconds` is
    the estimate for all, `sort` the lab's options."""
    limit = int(300 + PATIENCE * seconds)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(plan, file)
        file.flush()
        command = [str(paths.LAB_RUN), *sort, "--timeout", str(limit),
                   "--copy", f"{paths.INLAB}:/opt/bench",
                   "--copy", f"{file.name}:/opt/bench-plan.json", "--",
                   "python3", "/opt/bench/driver.py", "/opt/bench-plan.json"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE) as process:
            try:
                count = follow(process.stdout, done)
            except BaseException:
                process.terminate()
                raise
    if process.returncode:
        raise BenchError(f"the lab ended with status {process.returncode} "
                         f"after {count} of {expected} measurements")


def follow(stream, done):
    """Returns how many results there were; errors are none."""
    count = 0
    for line in stream:
        if not line.startswith(MARK):
            print(line.decode(errors="replace"), end="", flush=True)
            continue
        result = json.loads(line[len(MARK):])
        count += "error" not in result
        done(result)
    return count
