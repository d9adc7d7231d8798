#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Carries out a plan of measurements, in the lab.

usage: driver.py PLAN, a file of JSON: {"jobs": [JOB, ...]}. A job has the
name of its row, "gib" of guest memory where that matters, "members" (pairs of
"upstream" or "ours" and a configuration) and "rounds". For each member in
each round a line goes to standard output: the mark, and an object with the
job's number, what was measured, and its figures. An error ends the job.

With "warm-up" the first job is carried out once more before all, and not
told: what runs first in a lab is slower, as memory is touched for the first
time.
"""

import json
import sys
import time
import traceback

from dirtylab.errors import LabError
from dirtylab.vm import Lab

import idle
import ioctls
import startstop
import syncs
import transfer
import watched

MARK = "##BENCH "
ROWS = {
    "heavy": transfer.run, "mid": transfer.run, "sparse": transfer.run,
    "watched": watched.run,
    "sync": syncs.run, "idle": idle.run, "startstop": startstop.run,
    "heavy-patched": transfer.run, "mid-patched": transfer.run,
    "dirtylog": ioctls.dirtylog, "reset": ioctls.reset,
}


def tell(number, **what):
    print(MARK + json.dumps({"job": number, **what}), flush=True)


def carry_out(number, job):
    """One job, with machines of its own."""
    began = time.monotonic()
    try:
        with Lab() as lab:
            for who, config, turn, figures in ROWS[job["row"]](lab, job):
                now = time.monotonic()
                tell(number, who=who, config=config, gib=job["gib"],
                     round=turn, figures=figures,
                     seconds=round(now - began, 1))
                began = now
    except LabError as err:
        tell(number, error=f"{type(err).__name__}: {err}")
    except Exception:
        tell(number, error=traceback.format_exc())


def warm_up(job):
    """Should it fail, the job itself will tell."""
    print("warming up: the first measurement does not count", flush=True)
    try:
        with Lab() as lab:
            for _ in ROWS[job["row"]](lab, job):
                pass
    except LabError as err:
        print(f"warming up: {err}", flush=True)


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        plan = json.load(f)
    if plan.get("warm-up"):
        warm_up(plan["jobs"][0])
    for number, job in enumerate(plan["jobs"]):
        carry_out(number, job)
    return 0


if __name__ == "__main__":
    sys.exit(main())
