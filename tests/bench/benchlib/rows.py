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
    seconds: float = 0          # of one measurement, for the first estimate
    mem: int = 4096         # MiB, of the lab
    by_size: bool = False       # plotted against guest memory


TRANSFER = (
    Metric("total-ms", "total", "ms", speed=True),
    Metric("downtime-ms", "downtime", "ms", speed=True),
    Metric("sent-bytes", "sent", "MiB", scale=1 / (1 << 20)),
    Metric("syncs", "syncs", ""),
    Metric("ring-full", "ring-full exits", ""),
    Metric("writes-during", "guest writes during migration", "1/s", more=True,
           speed=True),
    Metric("pause-ms", "longest guest pause before the last", "ms",
           speed=True),
    Metric("forced", "downtime limit lifted", "0 or 1"),
)


def transfer(name, load):
    return Row(name, f"live migration, random writes {load} over 256 MiB, "
               "link 200 MB/s", TRANSFER,
               tuple((config, None) for config in CONFIGS), seconds=20)


ROWS = {row.name: row for row in (
    transfer("heavy", "flat out"),
    transfer("mid", "at 20 000 pages/s"),
    transfer("sparse", "at 500 pages/s"),
)}


def case_name(config, gib=None):
    """("ring-4096", 16) -> "ring 4096, 16 GiB"."""
    name = (config or "").replace("-", " ")
    return name if gib is None else f"{name}, {gib:g} GiB"
