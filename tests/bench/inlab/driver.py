#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Carries out a plan of measurements, in the lab.

usage: driver.py PLAN, a file of JSON: {"jobs": [JOB, ...]}. A job names its
row, who ("upstream" or "ours"), config, and what else the row's module wants.
For each there is one line on standard output: the mark, and an object with
the job's number and its figures or an error.
"""

import json
import sys
import time
import traceback

from dirtylab.errors import LabError
from dirtylab.vm import Lab

import transfer

MARK = "##BENCH "
ROWS = {
    "heavy": transfer.run, "mid": transfer.run, "sparse": transfer.run,
}


def measure(job):
    """One job with machines of its own."""
    try:
        with Lab() as lab:
            return {"figures": ROWS[job["row"]](lab, job)}
    except LabError as err:
        return {"error": f"{type(err).__name__}: {err}"}
    except Exception:
        return {"error": traceback.format_exc()}


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        plan = json.load(f)
    for number, job in enumerate(plan["jobs"]):
        began = time.monotonic()
        result = measure(job)
        result.update(job=number,
                      seconds=round(time.monotonic() - began, 1))
        print(MARK + json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
