#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What query-dirty-tracking foretells of migrations, against what came of
them: guests that write at different rates to working sets of different size,
over links and with downtime limits that let them through, or not."""

import itertools
import json
import statistics
import sys

from dirtylab import migrate, rig, stats

# (backend, ring size, working set in MiB, pages a second; 0: flat out)
GUESTS = (
    ("ring", 4096, 32, 500), ("ring", 4096, 128, 2000),
    ("log", 0, 32, 2000), ("log", 0, 128, 500),
    ("ring", 4096, 32, 0), ("ring", 4096, 128, 0),
    ("log", 0, 32, 0), ("log", 0, 96, 0),
    ("ring", 65536, 64, 5000), ("log", 0, 64, 5000),
    ("ring", 1024, 96, 1000), ("ring", 65536, 128, 0),
)
# (MB/s, downtime limit in ms)
LINKS = ((20, 300), (60, 150), (200, 300))
# A migration that takes longer does not come to an end.
LIMIT = 45
OUT = "/lab/out/forecast.json"
WITHIN = 0.25
SHARE = 0.8


class Run:
    """What was foretold of one migration, and what became of it."""

    def __init__(self, name):
        self.name = name
        self.told = []              # (seconds, forecast)
        self.seen = []              # (seconds, all that was told)
        self.ended = None           # seconds, if it did by itself
        self.downtime = None

    def after(self, passes):
        """The first forecast that so many passes were seen for."""
        for _, forecast in self.told:
            if forecast["passes"] >= passes and \
                    forecast["verdict"] != "unknown":
                return forecast
        return None

    def error(self, forecast):
        """Of its likely total, or None."""
        likely = forecast and forecast["total"].get("likely")
        if likely is None or self.ended is None:
            return None
        return likely / 1000 / self.ended - 1

    def inside(self, forecast):
        """Whether the end was in the range given."""
        total = forecast["total"]
        return total.get("least", 1e12) / 1000 <= self.ended * 1.02 and \
            self.ended * 0.98 <= total.get("most", 1e12) / 1000

    def verdicts(self):
        return [f["verdict"] for _, f in self.told]


def migrated(r, name, bandwidth, downtime):
    vm = r.vm
    run = Run(name)
    options = migrate.Options(bandwidth=bandwidth, downtime=downtime,
                              passes=1 << 30, timeout=LIMIT + 60)
    released = []

    def during(seconds):
        if released:
            return
        told = vm.qmp.cmd(stats.COMMAND)
        if "forecast" in told:
            run.told.append((seconds, told["forecast"]))
            run.seen.append((seconds, told, vm.qmp.cmd("query-migrate")))
        if seconds > LIMIT:
            released.append(True)
            migrate.release(vm, options)
            vm.qmp.cmd("migrate-set-parameters", {"downtime-limit": 600000})

    done = r.migrate(name, options, during=during)
    if not released:
        run.ended = done.result.total_ms / 1000
        run.downtime = done.result.downtime_ms
    report(r, run)
    return run


def seconds(ms):
    return "never" if ms is None else f"{ms / 1000:.1f}"


def report(r, run):
    first = run.after(1)
    end = f"{run.ended:.1f} s" if run.ended else f"not in {LIMIT} s"
    if not first:
        r.tap.note(f"{run.name}: {end}, over before its second pass")
        return
    total = first["total"]
    error = run.error(first)
    r.tap.note(
        f"{run.name}: {end}; after a pass {seconds(total.get('least'))} .. "
        f"{seconds(total.get('likely'))} .. {seconds(total.get('most'))} s, "
        f"{first['verdict']}"
        + (f", off by {error:+.0%}" if error is not None else "")
        + f"; {first['write-rate']} pages/s to {first['working-set']}, "
        f"{first['throughput'] >> 20} MiB/s; verdicts "
        + " ".join(k for k, _ in itertools.groupby(run.verdicts())))


def quantiles(values):
    values = sorted(values)
    return " ".join(f"{values[int(q * (len(values) - 1))]:+.0%}"
                    for q in (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1))


def judge(r, runs):
    told = [run for run in runs if run.ended and run.after(1)]
    errors = [run.error(run.after(1)) for run in told]
    known = [e for e in errors if e is not None]
    good = sum(abs(e) <= WITHIN for e in known)
    inside = sum(run.inside(run.after(1)) for run in told)
    r.tap.note(f"{len(runs)} migrations, {len(told)} with a second pass that "
               f"came to an end; error of the total, forecast after the first "
               f"pass: least, 10, 25, 50, 75, 90 %, most: {quantiles(known)}; "
               f"median of its size "
               f"{statistics.median(map(abs, known)):.0%}")
    r.tap.note(f"{inside} of {len(told)} ended within the range given")
    r.tap.ok(len(runs) >= 30, "30 migrations or more", str(len(runs)))
    r.tap.ok(good >= SHARE * len(told),
             f"the total is within {WITHIN:.0%} in {SHARE:.0%} of the runs",
             f"{good} of {len(told)}")
    wrong = [run.name for run in runs
             if run.ended and "diverges" in run.verdicts()]
    r.tap.ok(not wrong, "none that converged was said to diverge", str(wrong))
    wrong = [run.name for run in runs
             if not run.ended and run.verdicts()[-1] == "converges"]
    r.tap.ok(not wrong, "none that went on was said to converge in the end",
             str(wrong))
    r.tap.note(f"{good} of {len(told)} within {WITHIN:.0%}")


def keep(runs):
    """Bring all of it out of the lab, to be looked at again."""
    try:
        with open(OUT, "w", encoding="utf-8") as f:
            json.dump([vars(run) for run in runs], f)
    except FileNotFoundError:
        pass                        # not in a lab


def scenario(r):
    r.need_kvm()
    runs = []
    for backend, size, mib, rate in GUESTS:
        r.guest(backend, size, mem=256, maxcpus=0, vga=False, shared_bar=0,
                load=f"mib={mib},rate={rate}")
        for bandwidth, downtime in LINKS:
            name = (f"{backend} {size or ''} {mib} MiB {rate or 'flat out'}, "
                    f"{bandwidth} MB/s, {downtime} ms")
            runs.append(migrated(r, name, bandwidth, downtime))
            keep(runs)
    judge(r, runs)


if __name__ == "__main__":
    sys.exit(rig.main("forecast", scenario, __doc__))
