# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures to reach, and whether they were.

All are of medians of the same run. One that is missed fails nothing: this is
a measurement. It says, too, when the spreads overlap, so that one more run
might have turned out the other way.
"""

import dataclasses

from .rows import CONFIGS, MAPPED, RINGS, ROWS, case_name


@dataclasses.dataclass(frozen=True)
class Verdict:
    target: str
    measured: str
    reached: bool | None        # None: not measured
    close: bool = False         # the spreads overlap

    def text(self):
        if self.reached is None:
            return "not measured"
        if self.reached:
            return "reached"
        return "MISSED (the spreads overlap)" if self.close else "MISSED"


def number(value):
    """Three digits or, of large numbers, all before the point."""
    whole = value == round(value) or abs(value) >= 100
    return f"{value:,.0f}" if whole else f"{value:.3g}"


def ratio(target, ours, theirs, most=None, least=None):
    """`ours` and `theirs` are Spreads; the ratio of their medians must be at
    most `most`, or at least `least`."""
    if ours is None or theirs is None:
        return Verdict(target, "-", None)
    limit = most if most is not None else least
    if most is not None:
        reached = ours.median <= most * theirs.median
    else:
        reached = ours.median >= least * theirs.median
    detail = f"{number(ours.median)} against {number(theirs.median)}"
    if theirs.median:
        detail = f"{number(ours.median / theirs.median)} x ({detail})"
    scaled = dataclasses.replace(theirs, low=theirs.low * limit,
                                 high=theirs.high * limit)
    return Verdict(target, detail, reached, ours.overlaps(scaled))


def at_most(target, ours, limit):
    if ours is None:
        return Verdict(target, "-", None)
    return Verdict(target, number(ours.median), ours.median <= limit,
                   ours.low <= limit)


def at_least(target, ours, limit):
    if ours is None:
        return Verdict(target, "-", None)
    return Verdict(target, number(ours.median), ours.median >= limit,
                   ours.high >= limit)


def better(spreads):
    """The one with the least median of those there are."""
    found = [s for s in spreads if s is not None]
    return min(found, key=lambda s: s.median) if found else None


def heavy(s):
    yield ratio("guest writes/s, ring 4096: at least 1.3 x upstream's "
                "ring 4096", s.get("writes-during", "ours", "ring-4096"),
                s.get("writes-during", "upstream", "ring-4096"), least=1.3)
    yield ratio("guest writes/s, ring 65536: at least 1.0 x upstream's bitmap",
                s.get("writes-during", "ours", "ring-65536"),
                s.get("writes-during", "upstream", "bitmap"), least=1.0)
    for config in ("ring-4096", "ring-65536"):
        both = [s.get("total-ms", "upstream", c) for c in ("bitmap", config)]
        yield ratio(f"total, {case_name(config)}: at most 1.0 x the better of "
                    "upstream's bitmap and ring",
                    s.get("total-ms", "ours", config),
                    better(both) if None not in both else None, most=1.0)
    for config in RINGS:
        yield ratio(f"ring-full exits, {case_name(config)}: at most 0.1 x "
                    "upstream's", s.get("ring-full", "ours", config),
                    s.get("ring-full", "upstream", config), most=0.1)


def mid(s, rings=RINGS[1:]):
    for config in rings:
        yield at_most(f"ring-full exits, {case_name(config)}: 0",
                      s.get("ring-full", "ours", config), 0)


def mid_patched(s):
    return mid(s, RINGS)


def watched(s):
    def get(key):
        return s.get(key, "ours", "ring-4096")

    yield at_least("guest writes/s with a client that asks ten times a second: "
                   "at least 0.99 x", get("asked-ratio"), 0.99)
    yield at_least("the same from half a second after log start on: at least "
                   "0.99 x", get("asked-later-ratio"), 0.99)
    yield ratio("the latter compared with a client that asks for query-status: "
                "at least 0.99 x", get("asked-later-ratio"),
                get("other-later-ratio"), least=0.99)


def sparse(s):
    for metric in ROWS["sparse"].metrics:
        if metric.key not in ("total-ms", "downtime-ms", "sent-bytes", "syncs",
                              "writes-during", "pause-ms"):
            continue
        for config in CONFIGS:
            yield against_bitmap(s, metric, config)


def against_bitmap(s, metric, config):
    limit = {"least": 0.9} if metric.more else {"most": 1.1}
    word = "less" if metric.more else "more"
    return ratio(f"{metric.label}, {case_name(config)}: not 10 % {word} than "
                 "upstream's bitmap", s.get(metric.key, "ours", config),
                 s.get(metric.key, "upstream", "bitmap"), **limit)


def log_not_slower(row, s):
    """The log backend is nowhere slower by more than 5 %."""
    for config, gib in row.cases:
        if config != "bitmap":
            continue
        for metric in row.metrics:
            if not metric.speed:
                continue
            limit = {"least": 0.95} if metric.more else {"most": 1.05}
            word = "less" if metric.more else "more"
            yield ratio(
                f"{metric.label}, {case_name(config, gib)}: not 5 % {word} "
                "than upstream's",
                s.get(metric.key, "ours", config, gib),
                s.get(metric.key, "upstream", config, gib), **limit)


def sync(s):
    ring = s.get("sync-us", "ours", "ring-4096", 16)
    for config, most in (("ring-4096", 0.2), ("bitmap", 1.0)):
        yield ratio(f"sync at 16 GiB, ring 4096: at most {most} x upstream's "
                    f"{case_name(config)}", ring,
                    s.get("sync-us", "upstream", config, 16), most=most)
    yield ratio("sync at 64 GiB, ring 4096: at most 1.3 x that at 1 GiB",
                s.get("sync-us", "ours", "ring-4096", 64),
                s.get("sync-us", "ours", "ring-4096", 1), most=1.3)


def native(s):
    yield ratio("sync at 1 TiB, 1000 dirty pages: at most 0.01 x upstream's",
                s.get("sync-us", "ours", None, 1024),
                s.get("sync-us", "upstream", None, 1024), most=0.01)
    for ring in (4096, 65536):
        yield at_least(f"harvest to published, ring {ring}: at least 50 "
                       "million entries/s",
                       s.get(f"ring{ring}-entries-per-s", "ours"), 50e6)


def idle(s):
    yield at_most("reaper wake-ups a minute: 0",
                  s.get("wakeups", "ours", "ring-4096"), 0)


def dirtylog(s):
    def of(key, who, gib, config="log"):
        return s.get(key, who, config, gib)

    yield ratio("taking the log at 2 GiB: at least 300 x faster than with a "
                "walk", of("fetch-us", "upstream", 2),
                of("fetch-us", "ours", 2), least=300)
    yield growth("taking the log, 0.5 to 2 GiB: grows no more than a copy of "
                 "the bitmap", [of("fetch-us", "ours", g) for g in (2, 0.5)],
                 [of("fetch-us", "upstream", g, "manual-protect")
                  for g in (2, 0.5)])
    yield ratio("log start at 2 GiB: at most 0.02 x the walk",
                of("start-us", "ours", 2), of("start-us", "upstream", 2),
                most=0.02)
    yield ratio("log start at 2 GiB: at most 1.3 x that at 0.5 GiB",
                of("start-us", "ours", 2), of("start-us", "ours", 0.5),
                most=1.3)
    for key, after in (("first-pass-ms", "the start"),
                       ("pass-ms", "taking the log")):
        for gib in MAPPED:
            yield ratio(f"guest's pass after {after}, {gib:g} GiB: at most "
                        "1.05 x that after a walk", of(key, "ours", gib),
                        of(key, "upstream", gib), most=1.05)


def growth(target, ours, theirs):
    """Both are (large, small); absolute growth, as one may start at nothing."""
    if None in (*ours, *theirs):
        return Verdict(target, "-", None)
    grew, limit = (large.median - small.median for large, small in
                   (ours, theirs))
    return Verdict(target, f"{number(grew)} against {number(limit)}",
                   grew <= limit)


def reset(s):
    yield ratio("reset of 65,472 entries: at least 3 x faster than mainline's",
                s.get("reset-us", "upstream", "ring-65536", 1),
                s.get("reset-us", "ours", "ring-65536", 1), least=3)


def heavy_patched(s):
    bitmap = "upstream", "bitmap"
    yield from mid_patched(s)
    for config in RINGS[1:]:
        yield ratio(f"guest writes/s, {case_name(config)}: at least 1.2 x "
                    "upstream's bitmap", s.get("writes-during", "ours", config),
                    s.get("writes-during", *bitmap), least=1.2)
        yield ratio(f"total, {case_name(config)}: at most upstream's bitmap",
                    s.get("total-ms", "ours", config),
                    s.get("total-ms", *bitmap), most=1.0)


OF_ROW = {"heavy": heavy, "mid": mid, "sparse": sparse, "sync": sync,
          "watched": watched,
          "idle": idle, "native": native, "dirtylog": dirtylog, "reset": reset,
          "heavy-patched": heavy_patched, "mid-patched": mid_patched}


def judge(row, s):
    """All verdicts on a row, of a Summary; of the many on the log backend
    those that can be given."""
    found = list(OF_ROW[row.name](s)) if row.name in OF_ROW else []
    return found + [verdict for verdict in log_not_slower(row, s)
                    if verdict.reached is not None]
