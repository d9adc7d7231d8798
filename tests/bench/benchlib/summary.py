# SPDX-License-Identifier: GPL-2.0-or-later
"""Medians and spreads of the runs of a row."""

import dataclasses
import statistics


@dataclasses.dataclass(frozen=True)
class Spread:
    """Of one figure over the runs."""

    median: float
    low: float
    high: float
    count: int

    def overlaps(self, other):
        return self.low <= other.high and other.low <= self.high


def spread(values):
    """None if there are no values."""
    values = [v for v in values if v is not None]
    if not values:
        return None
    return Spread(statistics.median(values), min(values), max(values),
                  len(values))


class Summary:
    """Looks figures up by metric, who, config, GiB of guest memory."""

    def __init__(self, runs):
        self._values = {}
        for run in runs:
            place = run.get("who"), run.get("config"), run.get("gib")
            for key, value in run["figures"].items():
                if isinstance(value, (int, float)):
                    self._values.setdefault((key, *place), []).append(value)

    def values(self, key, who=None, config=None, gib=None):
        return self._values.get((key, who, config, gib), [])

    def get(self, key, who=None, config=None, gib=None):
        return spread(self.values(key, who, config, gib))
