#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks the benchmark's own arithmetic: what is read from traces and guests,
medians, verdicts, tables, pictures, plans.

Needs no virtual machine.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE), str(HERE / "inlab"), str(HERE.parent / "lib"),
                str(HERE.parents[1] / "scripts")]

from dirtylab.errors import LabError
from migration_report.load import Sample
from dirtylab.tap import Tap

import idle
import ioctls
import machine
import startstop
import syncs
import timeline
import trace
import watched
from benchlib import native, plan, plot, progress, summary, table, verdicts
from benchlib.rows import CONFIGS, ROWS, case_name


def check(tap, have, want, name):
    tap.ok(have == want, name, f"have {have!r}\nwant {want!r}")


def near(have, want):
    return abs(have - want) < 1e-6 * max(1.0, abs(want))


# --- what is measured in the lab

def traces(tap):
    lines = ["qemu: a warning", "7@100.000250:kvm_dirty_ring_full vcpu 0\n",
             "7@100.000500:migration_bitmap_sync_start \n",
             "8@101.25:cut_off"]
    found = list(trace.parse(lines))
    check(tap, [(e.thread, e.name, e.args) for e in found],
          [(7, "kvm_dirty_ring_full", "vcpu 0"),
           (7, "migration_bitmap_sync_start", "")], "events are read")
    tap.ok(near(found[0].t, 100.00025), "with microseconds", str(found[0].t))
    check(tap, [e.name for e in trace.parse(lines, {"kvm_dirty_ring_full"})],
          ["kvm_dirty_ring_full"], "only those that are wanted")


def event(t, name, args="", thread=1):
    return trace.Event(thread, t, name, args)


def sync_times(tap):
    start, end, early = syncs.START, syncs.END, syncs.EARLY
    found = list(syncs.syncs([
        event(0.9, end), event(1.0, start), event(1.5, end),
        event(2.0, early, "0"), event(2.25, early, "1"),
        event(2.5, start), event(2.6, start, thread=2), event(2.75, end),
        event(3.0, early, "0"), event(3.125, early, "1"),
        event(3.5, start), event(4.5, end)]))
    check(tap, [(s.held, s.total) for s in found],
          [(5e5, 5e5), (2.5e5, 5e5), (1e6, 1.125e6)],
          "a sync's time: what is done early counts, without the BQL")
    told = syncs.figures(found)
    check(tap, (told["sync-us"], told["held-us"], told["sync-most-us"]),
          (5e5, 5e5, 1.125e6), "medians and the longest of a run")


def log_times(tap):
    changed, slot = startstop.CHANGED, startstop.SLOT
    found = startstop.changes([
        event(0.5, slot), event(1.0, changed, "bitmask 0x1"),
        event(1.25, slot), event(1.5, slot), event(1.75, startstop.SYNC),
        event(1.875, slot), event(3.0, changed, "bitmask 0x0"),
        event(3.125, slot), event(9.0, slot)])
    check(tap, found, (7.5e5, 1.25e5),
          "the start ends with the sync, the stop with its last slot")
    check(tap, startstop.changes([
        event(1.0, changed, "bitmask 0x1"), event(1.25, startstop.SYNC)]),
        (2.5e5, None), "a start that leaves slots for later has a time, too")
    check(tap, startstop.changes([event(1.0, slot)]), (None, None),
          "no start, no time")


def programs(tap):
    found = ioctls.log_figures(
        "Populate memory time: 9.0s\nEnabling dirty logging time: 0.25s\n\n"
        "Iteration 1 dirty memory time: 2.5s\n"
        "Iteration 1 get dirty log time: 0.5s\n"
        "Iteration 2 dirty memory time: 1.5s\n"
        "Iteration 2 get dirty log time: 0.75s\n"
        "Get dirty log over 2 iterations took 1.25s. (Avg 0.62s/iteration)\n",
        True)
    check(tap, found, {"start-us": 250000, "first-pass-ms": 2500,
                       "pass-ms": 1500, "fetch-us": 625000},
          "what dirty_log_perf_test says is read")
    found = ioctls.log_figures("Iteration 1 get dirty log time: 0.5s\n"
                               "Iteration 1 clear dirty log time: 0.25s\n",
                               False)
    check(tap, found, {"fetch-us": 500000, "clear-us": 250000},
          "without passes that write all")
    found = ioctls.reset_figures(
        "Reset (wp-all) of 100 entries took 0.5s\n"
        "Reset (wp-all) of 99 entries took 0.25s\n")
    check(tap, found, {"reset-us": 375000, "entries": 99},
          "and dirty_ring_perf_test")
    try:
        ioctls.reset_figures("of 1 entries, and no time")
        tap.ok(False, "a program that says nothing is an error")
    except LabError:
        tap.ok(True, "a program that says nothing is an error")


def mutexes(tap):
    def taken(thread, mutex, where):
        return event(0, idle.TAKEN, f"taken mutex {mutex} ({where})", thread)

    events = [taken(1, "0xb", "../util/main-loop.c:311"),
              taken(2, "0xb", "../accel/kvm/kvm-all.c:1597"),
              taken(2, "0xa", "../accel/kvm/kvm-all.c:99"),
              taken(2, "0xb", "../accel/kvm/kvm-all.c:1597")]
    check(tap, idle.acquisitions(events, 2), (2, 3),
          "the BQL is told from other mutexes")
    try:
        idle.acquisitions(events[1:], 2)
        tap.ok(False, "no BQL in sight is an error")
    except LabError:
        tap.ok(True, "no BQL in sight is an error")


def load(*points, late=0.0):
    """Samples (guest's seconds, total) seen `late` after they were written by
    a guest whose clock is 1000 s behind."""
    return [Sample(t, 0, total, 1000 + t + late) for t, total in points]


def timelines(tap):
    samples = load((1.0, 0), (1.1, 10), (1.2, 20), (1.3, 30))
    samples[2].seen += 0.5
    check(tap, [s.total for s in timeline.written(samples, 1001.05, 1001.25)],
          [10, 20], "a line that is seen late was written in time")
    check(tap, [s.total for s in timeline.written(samples, 1001.05, 1001.15,
                                                  before=1)],
          [0, 10], "and the one before")
    check(tap, timeline.written(samples, 1002), [], "nothing after the end")
    tap.ok(near(timeline.rate(samples), 100), "the rate is the guest's",
           str(timeline.rate(samples)))
    check(tap, timeline.rate(samples[:1]), None, "one line has no rate")

    lines = load((1.0, 0), (1.1, 1000), (1.2, 1200), (1.3, 1250), (1.4, 1300))
    since = timeline.rate_since(lines, 1001.05)
    tap.ok(near(since, 800 / 0.35), "a rate begins between two lines",
           str(since))
    for begin in (1000.9, 1001.35):
        check(tap, timeline.rate_since(lines, begin), None,
              f"no rate from {begin} on")

    check(tap, timeline.pause(load((1, 0), (1.1, 5), (1.4, 6), (1.5, 7))),
          300, "a line that comes late is a pause")
    check(tap, timeline.pause(load((1, 0), (1.1, 5), (1.2, 5), (1.3, 5),
                                   (1.4, 6))),
          300, "so are lines without progress")
    check(tap, timeline.pause(load((1, 0), (1.1, 5), (1.2, 5), (1.5, 5))),
          400, "also at the end")
    check(tap, timeline.pause(load((1, 0))), None, "one line shows none")
    check(tap, timeline.series(load((1, 5), (1.05, 6), (1.1, 7), (1.3, 9))),
          "0:0 100:2 300:4", "how it went, for later")


def turns(tap):
    check(tap, [round(r, 9) for r in
                watched.ratios([100, 90, 81, 68.4, 64, 48, 36])],
          [1, 0.95, 1], "a guest that gets slower by itself is not slowed down")
    check(tap, watched.compared("x", [100, 98, 100, 99, 100, 98, 100, 99, 100]),
          {"asked-x": 0.98, "other-x": 0.99}, "two questions by turns")
    check(tap, watched.middle([9, 4, 1, 5, 6, 3, 0, 100]), 4.5,
          "odd ones do not count")


def machines(tap):
    check(tap, [machine.accel(c) for c in ("bitmap", "ring-1024", "wp-all")],
          ["kvm", "kvm,dirty-ring-size=1024", "kvm,dirty-tracking=wp-all"],
          "accelerator options")
    for bad in ("ring-x", "log"):
        try:
            machine.accel(bad)
            tap.ok(False, f"{bad} is no configuration")
        except ValueError:
            tap.ok(True, f"{bad} is no configuration")


# --- what is made of it on this side

def plans(tap):
    heavy = plan.jobs(ROWS["heavy"], 2)
    check(tap, len(heavy), 2 * 2 * len(CONFIGS), "every case, both, each run")
    order = [job["members"][0] for job in heavy[:4]]
    check(tap, order, [("upstream", "bitmap"), ("ours", "bitmap"),
                       ("ours", "ring-1024"), ("upstream", "ring-1024")],
          "upstream and ours take turns in going first")
    first = [heavy[i]["members"][0][0] for i in (0, 2 * len(CONFIGS))]
    check(tap, first, ["upstream", "ours"], "from round to round as well")
    few = plan.jobs(ROWS["heavy"], 1, configs=["bitmap"], only="ours")
    check(tap, [job["members"] for job in few], [[("ours", "bitmap")]],
          "a part of it")
    alone = plan.jobs(ROWS["heavy-patched"], 1, configs=["wp-all"])
    check(tap, [job["members"] for job in alone], [[("ours", "wp-all")]],
          "what only one of them has")
    sync = plan.jobs(ROWS["sync"], 5, sizes=[1, 16])
    check(tap, [(job["gib"], plan.results(job)) for job in sync],
          [(1, 20), (16, 20)], "guests of one size are one job")


def runs(who, config, key, *values, gib=None):
    return [{"who": who, "config": config, "gib": gib, "figures": {key: v}}
            for v in values]


def medians(tap):
    s = summary.Summary(runs("ours", "bitmap", "x", 3, 1, 10)
                        + runs("ours", "bitmap", "x", 99, gib=4)
                        + runs("ours", "bitmap", "text", "no number"))
    check(tap, s.get("x", "ours", "bitmap"), summary.Spread(3, 1, 10, 3),
          "median, least and most")
    check(tap, s.get("x", "ours", "bitmap", 4).median, 99,
          "each size by itself")
    check(tap, (s.get("x", "upstream", "bitmap"),
                s.get("text", "ours", "bitmap")), (None, None),
          "nothing measured, nothing said")


def spread(median, low=None, high=None):
    return summary.Spread(median, median if low is None else low,
                          median if high is None else high, 5)


def judgments(tap):
    r = verdicts.ratio
    check(tap, [r("", spread(a), spread(100), most=1.1).reached
                for a in (110, 111)], [True, False], "at most so many times")
    check(tap, [r("", spread(a), spread(100), least=1.3).reached
                for a in (130, 129)], [True, False], "at least so many times")
    check(tap, [r("", spread(120, 90, 130), spread(100, low, 100),
                  most=1).close for low in (95, 100)] +
          [r("", spread(120, 101, 130), spread(100), most=1).close],
          [True, True, False], "spreads that overlap are told")
    check(tap, [r("", spread(a), spread(0), most=0.1).reached
                for a in (0, 1)], [True, False], "nothing of nothing")
    check(tap, r("", None, spread(1), most=1).text(), "not measured",
          "without figures no verdict")
    check(tap, [verdicts.at_most("", spread(n), 0).reached for n in (0, 1)],
          [True, False], "an absolute limit")
    check(tap, [verdicts.at_least("", spread(n), 5).reached for n in (5, 4)],
          [True, False], "an absolute least")


def of_rows(tap):
    """Each target looks at the right figures."""
    found = []
    for who, factor in (("upstream", 1), ("ours", 2)):
        for number, config in enumerate(CONFIGS):
            found += runs(who, config, "writes-during",
                          100 * factor * (number + 1))
            found += runs(who, config, "total-ms", 1000 * factor)
            found += runs(who, config, "ring-full", 10 * factor * number)
    told = {v.target: v for v in verdicts.heavy(summary.Summary(found))}
    check(tap, sorted(v.text() for v in told.values()),
          ["MISSED"] * 5 + ["reached"] * 2, "heavy has seven targets")
    check(tap, [v.measured for t, v in told.items() if "ring 65536: at le" in t],
          ["8 x (800 against 100)"], "the large ring against the bitmap")
    sync = (runs("ours", "ring-4096", "sync-us", 10, gib=1)
            + runs("ours", "ring-4096", "sync-us", 12, gib=16)
            + runs("ours", "ring-4096", "sync-us", 14, gib=64)
            + runs("upstream", "ring-4096", "sync-us", 100, gib=16)
            + runs("upstream", "bitmap", "sync-us", 11, gib=16))
    check(tap, [v.text() for v in verdicts.sync(summary.Summary(sync))],
          ["reached", "MISSED", "MISSED"], "sync")
    idle_runs = runs("ours", "ring-4096", "wakeups", 0, 0, 1)
    check(tap, [v.reached for v in verdicts.idle(summary.Summary(idle_runs))],
          [True], "idle, by the median")
    watching = summary.Summary(runs("ours", "ring-4096", "asked-ratio",
                                    0.97, 0.988, 0.999))
    check(tap, [v.text() for v in verdicts.watched(watching)],
          ["MISSED (the spreads overlap)"] + 2 * ["not measured"],
          "watched")
    check(tap, [v.reached for v in verdicts.mid(summary.Summary(found))],
          [False, False], "mid")
    bitmap = [v for v in verdicts.log_not_slower(ROWS["heavy"],
                                                 summary.Summary(found))
              if v.reached is not None]
    check(tap, [(v.measured[:3], v.reached) for v in bitmap],
          [("2 x", False), ("2 x", True)],
          "twice the time is worse, twice the writes are not")


def of_kernel_rows(tap):
    found = []
    for gib, scale in ((0.5, 1), (1, 2), (2, 4)):
        found += runs("upstream", "log", "fetch-us", 30000 * scale, gib=gib)
        found += runs("ours", "log", "fetch-us", 100 + 5 * scale, gib=gib)
        found += runs("upstream", "manual-protect", "fetch-us", 5 * scale,
                      gib=gib)
        found += runs("upstream", "log", "start-us", 25000 * scale, gib=gib)
        found += runs("ours", "log", "start-us", 400 * scale, gib=gib)
        found += runs("upstream", "log", "pass-ms", 100, gib=gib)
        found += runs("ours", "log", "pass-ms", 104 + scale, gib=gib)
    told = list(verdicts.dirtylog(summary.Summary(found)))
    check(tap, [v.text() for v in told],
          ["reached", "reached", "reached", "MISSED"] + ["not measured"] * 3
          + ["reached", "MISSED", "MISSED"], "dirtylog")
    check(tap, [told[n].measured for n in (0, 1)],
          ["1,000 x (120,000 against 120)", "15 against 15"],
          "a walk's time against ours, and what is added from size to size")
    found = runs("upstream", "ring-65536", "reset-us", 29, gib=1) + \
        runs("ours", "ring-65536", "reset-us", 10, gib=1)
    check(tap, [v.text() for v in verdicts.reset(summary.Summary(found))],
          ["MISSED"], "reset")
    found = runs("upstream", "bitmap", "writes-during", 100) + \
        runs("upstream", "bitmap", "total-ms", 100)
    for number, config in enumerate(CONFIGS[1:]):
        found += runs("ours", config, "ring-full", number)
        found += runs("ours", config, "writes-during", 119 + number)
        found += runs("ours", config, "total-ms", 99 + number)
    told = [v.text() for v in verdicts.heavy_patched(summary.Summary(found))]
    check(tap, told, ["reached", "MISSED", "MISSED", "reached", "reached",
                      "reached", "MISSED"], "heavy-patched")


def natives(tap):
    found = list(native.places({
        "sync": {"1024": {"ours_us": 2, "upstream_us": 400,
                          "upstream_set_us": 7}},
        "ring4096": {"entries_per_s": 6e7},
        "ring65536": {"entries_per_s": 4e7}}))
    at = {"config": None, "gib": 1024.0}
    check(tap, found,
          [({"who": "ours", **at}, {"sync-us": 2}),
           ({"who": "upstream", **at}, {"sync-us": 400, "sync-set-us": 7}),
           ({"who": "ours", "config": None, "gib": None},
            {"ring4096-entries-per-s": 6e7}),
           ({"who": "ours", "config": None, "gib": None},
            {"ring65536-entries-per-s": 4e7})], "the program's answer is read")
    s = summary.Summary([{**place, "figures": figures}
                         for place, figures in found])
    check(tap, [v.reached for v in verdicts.native(s)], [True, True, False],
          "and judged")


def sample_results():
    found = []
    for who, factor in (("upstream", 1), ("ours", 2)):
        for config in CONFIGS:
            found += runs(who, config, "total-ms", 1000 * factor,
                          1200 * factor, 1234 * factor)
    return {"runs": found, "failures": [{"error": "VmDied: it is gone"}],
            "made": "today", "processor": "abacus", "processors": 2,
            "smp": 1}


def texts(tap):
    text = table.text(ROWS["heavy"], sample_results())
    lines = text.splitlines()
    tap.ok(any(line.split() == ["ring", "4096", "1,200", "1,000", "..",
                                "1,234", "2,400", "2,000", "..", "2,468", "2"]
               for line in lines), "a line of the table", text)
    tap.ok("MISSED: total, ring 4096: at most 1.0 x" in text
           and "measured 2 x (2,400 against 1,200)" in text,
           "a target that was missed", text)
    tap.ok("1 measurements FAILED" in text and "it is gone" in text,
           "failures are told", text)
    tap.ok(all(len(line) < 110 for line in lines), "lines are not too long")
    check(tap, [verdicts.number(n) for n in (0.01234, 99.96, 999.6, 12345.6)],
          ["0.0123", "100", "1,000", "12,346"], "numbers")
    check(tap, [case_name("ring-4096", 0.5), case_name(None, 16)],
          ["ring 4096, 0.5 GiB", "16 GiB"], "names")
    check(tap, [progress.duration(s) for s in (59.7, 75, 3700)],
          ["1:00 min", "1:15 min", "1:01 h"], "durations")
    clock = progress.Clock(100)
    clock.began -= 50
    clock.tick(20)
    check(tap, clock.text(), "50 s so far, about 3:20 min to go",
          "the rest takes as much longer as what is done")


def pictures(tap):
    try:
        plt = plot.pyplot()
    except plot.NoMatplotlib as err:
        tap.skip("pictures", err)
        return
    figure = plot.picture(plt, ROWS["heavy"], sample_results())
    axes = [a for a in figure.axes if a.axison]
    check(tap, [(a.get_title(), a.get_ylabel()) for a in axes],
          [("total (ms)", "ms")], "a panel for what was measured, with units")
    check(tap, [t.get_text() for t in axes[0].get_xticklabels()],
          [case_name(c) for c in CONFIGS], "configurations below")
    tops = [bar.lines[0].get_ydata()[0] for bar in axes[0].containers]
    check(tap, tops, [1200] * 4 + [2400] * 4, "points are medians")
    least, most = axes[0].get_ylim()
    tap.ok(least == 0 and most > 2468, "all is in view", f"{least} .. {most}")
    check(tap, figure.legends[0].get_texts()[0].get_text(), "upstream",
          "there is a legend")
    plt.close(figure)

    found = [run for gib in (1, 16) for who in ("upstream", "ours")
             for run in runs(who, "bitmap", "sync-us", 10 * gib, gib=gib)]
    figure = plot.picture(plt, ROWS["sync"],
                          {"runs": found, "made": "today"})
    line = figure.axes[0].lines[0]
    check(tap, [list(line.get_xdata()), list(line.get_ydata())],
          [[1, 16], [10, 160]], "lines over guest memory")
    plt.close(figure)


def main():
    tap = Tap()
    for part in (traces, sync_times, log_times, mutexes, timelines, turns,
                 machines, programs, plans, medians, judgments, of_rows,
                 of_kernel_rows, natives, texts, pictures):
        part(tap)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
