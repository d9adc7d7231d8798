#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the soak reckons with: that a seed always gives the same schedule, that
schedules have everything in them, and that no failure is counted as a success.
TAP."""

import collections
import sys
from pathlib import Path

top = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(top / "tests" / where)
                for where in ("soak", "scenarios", "lib")] + [
                    str(top / "scripts")]

import driver
import labs
import soakplan
from dirtylab.tap import Tap

ALL = {"wp-all", "refuse", "smp"}
SEEDS = range(1, 41)
GOOD = '# soak {"pages": 10, "differ": 0, "source": "ring", "words": []}\n'
BAD = 'not ok 1 - 1: ring 1024\n' \
      '# soak {"pages": 10, "differ": 3, "source": "ring", "words": []}\n'


def schedule(tap):
    plans = {seed: soakplan.plan(seed, 8, ALL) for seed in SEEDS}
    tap.ok(all(soakplan.plan(seed, 8, ALL) == plan
               for seed, plan in plans.items()),
           "a seed gives the same schedule again")
    tap.ok(len({str(plan) for plan in plans.values()}) == len(SEEDS),
           "another seed gives another one")
    tap.ok(all(soakplan.plan(seed, 3, ALL)[1] == plan[1][:3]
               for seed, plan in plans.items()),
           "a short schedule is the start of a long one")
    steps = [step for _, plan in plans.values() for step in plan]
    words = collections.Counter(word for step in steps
                                for word in step.words())
    tap.ok(set(words) == soakplan.EVERYTHING,
           f"{len(SEEDS)} seeds have everything",
           str(set(words) ^ soakplan.EVERYTHING))
    rare = {word: count for word, count in words.items()
            if count < len(steps) / 50}
    tap.ok(not rare, "nothing is rare", str(rare))
    wanted = {("ring", size) for size in soakplan.RINGS} | {
        ("log", 0), ("wp-all", 0)}
    sources = {(step.source.backend, step.source.size) for step in steps}
    tap.ok(sources == wanted, "all rings and backends", str(sources ^ wanted))


def sense(tap):
    """A schedule asks for nothing that cannot be done."""
    wrong = []
    for seed in SEEDS:
        start, steps = soakplan.plan(seed, 8, ())
        plugged = set()
        for step in steps:
            what = dict(step.before)
            limited = "limit" in what
            if limited and (step.source.backend != "ring"
                            or step.mode == "dirty-limit"):
                wrong.append(f"{seed}: limit in {step.describe()}")
            if "vcpu" in what and start.vcpus > 1:
                wrong.append(f"{seed}: a third vCPU")
            for thing in {"vcpu", "dimm"} & set(what):
                if what[thing].startswith("unplug") != (thing in plugged):
                    wrong.append(f"{seed}: {thing} {what[thing]}")
                plugged ^= {thing}
            if step.source.backend == "wp-all" or step.source.refuse:
                wrong.append(f"{seed}: needs what is not there")
            if "pause" in dict(step.during[:-1]):
                wrong.append(f"{seed}: {step.during}")
    tap.ok(not wrong, "schedules ask for what is possible", wrong)


def hosts(tap):
    every = set(labs.HOSTS)
    given = [labs.options(seed, every, 2) for seed in SEEDS]
    tap.ok(given == [labs.options(seed, every, 2) for seed in SEEDS],
           "a seed gets the same host again")
    found = {(lab["linux"], lab["kvm"]) for lab in given}
    tap.ok(found == every, "all hosts are taken", str(every ^ found))
    poor = {("6.12", "stock")}
    found = [labs.options(seed, poor, 1) for seed in SEEDS]
    tap.ok(all((lab["linux"], lab["kvm"], lab["smp"]) == ("6.12", "stock", 1)
               for lab in found), "what is not there is not taken", str(found))


def failures(tap):
    for name, status, text, wanted, failed in (
            ("a good lab is no failure", 0, GOOD * 2, 2, False),
            ("pages that differ are one", 1, GOOD + BAD, 2, True),
            ("so is a lab that takes too long", 124, GOOD, 2, True),
            ("so is a host that dies", 125,
             GOOD + "lab: LAB FAILURE (not a result): L1 kernel died", 2, True),
            ("so is a migration that is missing", 0, GOOD, 2, True),
            ("so is a lab that says nothing", 0, "", 2, True)):
        found = labs.outcome(status, text, wanted)
        tap.ok(bool(found["failure"]) == failed, name, str(found))
    record = {"seed": 7, "linux": "6.12", "kvm": "stock", "smp": 1,
              "seconds": 9, **labs.outcome(1, GOOD + BAD, 2)}
    tap.ok("--seed 7" in driver.told(record), "a failure tells its seed",
           driver.told(record))
    summary = driver.totals([record, record | {"seed": 8}])
    tap.ok(summary[-1] == "4 migrations compared in 2 labs, 6 pages differ, "
           "2 failures; seeds 7..8", "the summary counts it", summary)


def main():
    tap = Tap()
    for part in (schedule, sense, hosts, failures):
        part(tap)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
