# SPDX-License-Identifier: GPL-2.0-or-later
"""make soak: lab after lab, each with a seed of its own, until time is up.

It goes on where the last one ended: what each lab did is kept in log.jsonl, and
all it printed in seed-N.log.
"""

import argparse
import collections
import json
import os
import signal
import sys
import time
from pathlib import Path

from labkernel.paths import TOP

import labs


def arguments():
    p = argparse.ArgumentParser(
        prog="tests/soak/run", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--hours", type=float, default=2,
                   help="no new lab is begun after so many (default 2)")
    p.add_argument("--seed", type=int, metavar="S",
                   help="only the lab of this seed, shown as it runs")
    p.add_argument("--migrations", type=int, default=8, metavar="N",
                   help="in each lab (default 8)")
    p.add_argument("--fault", default="", metavar="OPTS",
                   help="with --seed: options for -accel that make QEMU lose "
                   "pages, e.g. x-dirty-fault-drop=64; it must be found")
    p.add_argument("--dir", type=Path, default=TOP / "build" / "soak",
                   help="where the logs are (default build/soak)")
    p.add_argument("--summary", action="store_true",
                   help="only say what has been done")
    args = p.parse_args()
    if args.fault and args.seed is None:
        p.error("--fault: only with --seed")
    return args


def records(log):
    if not log.exists():
        return []
    return [json.loads(line) for line in log.read_text().splitlines()]


def spans(numbers):
    """1, 2, 3, 7 as 1..3, 7."""
    found = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}..{last}"
                     for first, last in found)


def counted(things):
    return ", ".join(f"{name} {count}" for name, count in
                     sorted(things.items(), key=lambda pair: -pair[1]))


def totals(done):
    """What has been done, as lines; the last one sums it up."""
    hosts, backends, words = (collections.Counter() for _ in range(3))
    for record in done:
        hosts[f"{record['linux']} {record['kvm']}"] += record["migrations"]
        for each in record["each"]:
            backends[each["source"]] += 1
            words.update(each["words"])
    failed = [record for record in done if record["failure"]]
    lines = [f"hosts: {counted(hosts)}", f"backends: {counted(backends)}",
             f"what happened: {counted(words)}"]
    lines += [f"FAILED seed {record['seed']}: {record['failure']}"
              for record in failed]
    return lines + [
        f"{sum(r['migrations'] for r in done)} migrations compared in "
        f"{len(done)} labs, {sum(r['differ'] for r in done)} pages differ, "
        f"{len(failed)} failures; seeds {spans(r['seed'] for r in done)}"]


def told(record):
    """One lab, in a line."""
    text = (f"seed {record['seed']}: Linux {record['linux']}, {record['kvm']} "
            f"KVM, {record['smp']} CPUs: {record['migrations']} migrations, "
            f"{record['differ']} pages differ, {record['seconds']} s")
    if record["failure"]:
        text += (f"; FAILED: {record['failure']}; to repeat: tests/soak/run "
                 f"--seed {record['seed']}")
    return text


class Soak:
    def __init__(self, args):
        self.args = args
        self.log = args.dir / "log.jsonl"
        self.done = records(self.log)
        self.hosts = labs.known()
        self.cpus = os.cpu_count() or 1

    def lab(self, seed, name, **how):
        lab = labs.options(seed, self.hosts, self.cpus)
        return labs.run(seed, self.args.migrations, lab, self.args.dir / name,
                        **how)

    def repeat(self):
        """One seed again; it does not count."""
        record = self.lab(self.args.seed, f"repeat-{self.args.seed}.log",
                          fault=self.args.fault, echo=True)
        print(told(record), flush=True)
        return bool(record["failure"])

    def soak(self):
        end = time.monotonic() + self.args.hours * 3600
        seed = max((r["seed"] for r in self.done), default=0)
        while time.monotonic() < end:
            seed += 1
            record = self.lab(seed, f"seed-{seed}.log")
            with open(self.log, "a", encoding="utf-8") as log:
                log.write(json.dumps(record) + "\n")
            self.done.append(record)
            print(told(record), flush=True)
            print("   so far: " + totals(self.done)[-1], flush=True)


def main():
    args = arguments()
    args.dir.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    soak = Soak(args)
    if args.seed is not None:
        return soak.repeat()
    try:
        if not args.summary:
            soak.soak()
    except KeyboardInterrupt:
        print("interrupted; the next run repeats this seed", flush=True)
    print("\n".join(totals(soak.done)), flush=True)
    return any(record["failure"] for record in soak.done) or not soak.done
