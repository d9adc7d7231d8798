# SPDX-License-Identifier: GPL-2.0-or-later
"""One sample of a recording, and what can be asked of it."""

import dataclasses

from . import model

MICRO = 1e-6
MILLI = 1e-3


def dig(data, *keys):
    """data[key][key]..., or None as soon as something is not there."""
    for key in keys:
        if not isinstance(data, dict):
            return None
        data = data.get(key)
    return data


@dataclasses.dataclass
class Look:
    """One sample."""

    t: float
    migrate: dict
    tracking: dict | None

    @property
    def status(self):
        return self.migrate.get("status", "none")

    @property
    def under_way(self):
        return self.status not in model.IDLE

    @property
    def passes(self):
        return self.ram("dirty-sync-count") or 0

    def ram(self, key):
        return dig(self.migrate, "ram", key)

    def told(self, *keys):
        return dig(self.tracking, *keys)


@dataclasses.dataclass
class Estimate:
    """A forecast's range, in seconds; None: no such number."""

    least: float | None
    likely: float | None
    most: float | None


def estimate(told):
    def of(key):
        value = dig(told, key)
        return None if value is None else value * MILLI
    return Estimate(of("least"), of("likely"), of("most"))
