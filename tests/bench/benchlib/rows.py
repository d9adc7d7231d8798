# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows: what is measured, in which configurations, and in what units."""

import dataclasses

WHO = ("upstream", "ours")
RINGS = ("ring-1024", "ring-4096", "ring-65536")
CONFIGS = ("bitmap",) + RINGS


@dataclasses.dataclass(frozen=True)
class Metric:
    key: str
    label: str
    unit: str
    more: bool = False          # more is better
    scale: float = 1.0          # figure * scale is in `unit`
    speed: bool = False         # tells how fast it is


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    title: str
    metrics: tuple
    cases: tuple = ()           # (config, GiB of guest memory or None)
    # For the first estimate, in seconds: to get a guest ready, what each GiB
    # of its memory adds to that, and one measurement.
    boot: float = 0
    per_gib: float = 0
    seconds: float = 0
    grouped: bool = False       # one boot serves all rounds
    by_size: bool = False       # plotted against guest memory
    log: bool = False           # with a logarithmic scale
    lab: bool = True            # measured in the lab
    mem: int = 4096             # MiB, of the lab
    smp: int = 1                # CPUs of the lab
    patched: bool = False       # on KVM with patches/linux
    selftests: bool = False     # with the kernel's own programs
    alone: tuple = ()           # configs that one of them does not have


TRANSFER = (
    Metric("total-ms", "total", "ms", speed=True),
    Metric("downtime-ms", "downtime", "ms", speed=True),
    Metric("sent-bytes", "sent", "MiB", scale=1 / (1 << 20)),
    Metric("syncs", "syncs", ""),
    Metric("ring-full", "ring-full exits", ""),
    Metric("writes-during", "guest writes during migration", "1/s", more=True,
           speed=True),
    Metric("writes-command", "guest writes from the command on", "1/s",
           more=True),
    Metric("writes-before", "guest writes before", "1/s", more=True),
    Metric("pause-ms", "longest guest pause before the last", "ms",
           speed=True),
    Metric("forced", "downtime limit lifted", "0 or 1"),
)

SYNC = (
    Metric("sync-us", "time of a sync", "us", speed=True),
    Metric("held-us", "BQL held in it", "us", speed=True),
    Metric("sync-most-us", "longest sync of a run", "us"),
    Metric("second-us", "second sync, after the first pass", "us"),
    Metric("first-us", "first sync, at the start", "us"),
)
IDLE = (
    Metric("wakeups", "reaper wake-ups", "1/min"),
    Metric("bql", "BQL taken by the reaper", "1/min"),
    Metric("bql-all", "BQL taken by all threads", "1/min"),
)
STARTSTOP = (
    Metric("start-us", "log start", "us", speed=True),
    Metric("stop-us", "log stop", "us", speed=True),
    Metric("start-pause-ms", "longest guest pause at the start", "ms",
           speed=True),
    Metric("stop-pause-ms", "longest guest pause at the stop", "ms",
           speed=True),
    Metric("before-pause-ms", "longest guest pause before, for comparison",
           "ms"),
)
DIRTYLOG = (
    Metric("fetch-us", "taking the log, and protecting", "us", speed=True),
    Metric("start-us", "log start", "us", speed=True),
    Metric("first-pass-ms", "guest's first pass after the start", "ms",
           speed=True),
    Metric("pass-ms", "guest's pass after taking the log", "ms", speed=True),
    Metric("clear-us", "clearing what was taken", "us"),
)
RESET = (
    Metric("reset-us", "reset", "us", speed=True),
    Metric("entries", "entries", ""),
)
# Keys are those of the program, see native.py.
NATIVE = (
    Metric("sync-us", "sync, 1000 dirty pages", "us"),
    Metric("sync-find-us", "the sender's search for them", "us"),
    Metric("sync-set-us", "marking them dirty", "us"),
    Metric("ring4096-entries-per-s", "harvest to published, ring 4096",
           "million entries/s", more=True, scale=1e-6),
    Metric("ring65536-entries-per-s", "harvest to published, ring 65536",
           "million entries/s", more=True, scale=1e-6),
)
WATCHED = (
    Metric("asked-ratio", "guest writes, asked / not asked", "", more=True,
           speed=True),
    Metric("other-ratio", "guest writes, query-status asked / not asked", "",
           more=True, speed=True),
    Metric("asked-later-ratio", "guest writes later, asked / not asked", "",
           more=True, speed=True),
    Metric("other-later-ratio",
           "guest writes later, query-status asked / not asked", "", more=True,
           speed=True),
    Metric("asked-total-ratio", "total, asked / not asked", ""),
    Metric("other-total-ratio", "total, query-status asked / not asked", ""),
    Metric("writes-quiet", "guest writes, not asked", "1/s", more=True),
    Metric("turns", "migrations with each question", ""),
    Metric("questions", "questions", "1/s"),
)
SIZES = (1, 4, 16, 64)
MAPPED = (0.5, 1, 2)


def transfer(name, load, configs=CONFIGS, where="", **more):
    return Row(name, f"live migration, random writes {load} over 256 MiB, "
               f"link 200 MB/s{where}", TRANSFER,
               tuple((config, None) for config in configs), boot=10, seconds=9,
               **more)


def patched(name, load):
    return transfer(name, load, CONFIGS + ("wp-all",), ", patched KVM",
                    patched=True, alone=(("wp-all", "ours"),))


ROWS = {row.name: row for row in (
    transfer("heavy", "flat out"),
    transfer("mid", "at 20 000 pages/s"),
    transfer("sparse", "at 500 pages/s"),
    Row("watched", "live migrations, random writes flat out over 256 MiB, link "
        "200 MB/s; in every other one a client asks ten times a second",
        WATCHED, (("ring-4096", None),), boot=20, seconds=225, grouped=True,
        smp=2, alone=(("ring-4096", "ours"),)),
    Row("sync", "one dirty sync at 500 dirty pages/s over 128 MiB", SYNC,
        tuple((config, gib) for gib in SIZES
              for config in ("bitmap", "ring-4096")),
        boot=18, per_gib=3, seconds=5, grouped=True, by_size=True),
    Row("native", "no virtual machine: our code, and a model of upstream's",
        NATIVE, tuple((None, gib) for gib in (1, 4, 16, 64, 256, 1024))
        + ((None, None),), seconds=6, by_size=True, log=True, lab=False),
    Row("idle", "an idle guest with a ring, a minute", IDLE,
        (("ring-4096", None),), boot=12, seconds=45, grouped=True),
    Row("startstop", "dirty logging on and off, by memory the guest uses",
        STARTSTOP, tuple((config, gib) for gib in (0.5, 2)
                         for config in ("bitmap", "ring-4096")),
        boot=9, per_gib=3, seconds=4),
    Row("dirtylog", "dirty log of memory that is all written: KVM's walk, and "
        "write-protect-all", DIRTYLOG,
        tuple((config, gib) for gib in MAPPED
              for config in ("log", "manual-protect")),
        per_gib=50, seconds=10, by_size=True, patched=True, selftests=True,
        alone=(("manual-protect", "upstream"),)),
    Row("reset", "reset of a full ring of pages in no order, of 1 GiB: KVM's, "
        "and with all memory protected at once", RESET,
        (("ring-65536", 1), ("ring-4096", 1)), boot=10, seconds=20,
        patched=True, selftests=True),
    patched("heavy-patched", "flat out"),
    patched("mid-patched", "at 20 000 pages/s"),
)}


def case_name(config, gib=None):
    """("ring-4096", 16) -> "ring 4096, 16 GiB"."""
    return ", ".join(filter(None, [
        (config or "").replace("-", " "),
        "" if gib is None else f"{gib:g} GiB"]))
