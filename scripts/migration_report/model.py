# SPDX-License-Identifier: GPL-2.0-or-later
"""A recording: what a QEMU said during one migration, as it said it.

It is a JSON file.  What follows from it is reckoned in derive.py, so that old
recordings gain from a newer page.
"""

import json

from . import files
from .errors import ReportError

FORMAT = "migration-recording"
VERSION = 1

OVER = ("completed", "failed", "cancelled")
IDLE = (None, "none") + OVER

# How a recording ended: the migration did, someone ended it, QEMU went away.
ENDS = ("over", "interrupted", "gone")


def new(**facts):
    """An empty recording's data."""
    data = {"format": FORMAT, "version": VERSION, "title": None, "guest": None,
            "qemu": None, "made": None, "interval": None, "supported": True,
            "under-way": False, "load-file": False, "end": "interrupted",
            "reason": None, "samples": [], "events": [], "load": []}
    data.update(facts)
    return data


class Recording:
    """`data` is what is in the file.  Times are in seconds, on one clock."""

    def __init__(self, data):
        self.data = data

    @property
    def title(self):
        return self.data["title"] or self.data["guest"] or "migration"

    @property
    def samples(self):
        """Each {"t", "migrate", "tracking"}: answers to query-migrate and
        query-dirty-tracking, the latter None if there is no such command."""
        return self.data["samples"]

    @property
    def events(self):
        """Each {"t", "event", "data"}."""
        return self.data["events"]

    @property
    def load(self):
        """Each [t, writes a second, writes so far], as the guest said."""
        return self.data["load"]

    @property
    def supported(self):
        return self.data["supported"]

    def save(self, path):
        files.replace(path, json.dumps(self.data, separators=(",", ":")) + "\n")


def load(path):
    """The recording in a file; ReportError if it is none."""
    try:
        with open(path, encoding="utf-8") as source:
            data = json.load(source)
    except OSError as err:
        raise ReportError(f"{path}: {err.strerror}") from err
    except ValueError as err:
        raise ReportError(f"{path}: not a recording: {err}") from err
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ReportError(f"{path}: not a recording of migration-report")
    if data.get("version") != VERSION:
        raise ReportError(f"{path}: recorded by another version "
                          f"({data.get('version')}, this reads {VERSION})")
    if not data.get("samples"):
        raise ReportError(f"{path}: there is nothing in this recording")
    return Recording(data)


def compact(tracking):
    """An answer to query-dirty-tracking without each vCPU's rates, which no
    page shows: with many vCPUs they would be most of the file."""
    ring = (tracking or {}).get("kvm", {}).get("ring")
    for vcpu in ring["vcpus"] if ring else ():
        vcpu.pop("rate", None)
    return tracking


def _state(sample):
    """What must not be lost when samples are left out."""
    migrate = sample["migrate"]
    sync = (sample["tracking"] or {}).get("sync", {})
    return (migrate.get("status"), sync.get("count"),
            migrate.get("ram", {}).get("dirty-sync-count"))


def thin(samples):
    """Every second one, and all where something changed, and the last."""
    return [s for i, s in enumerate(samples)
            if i % 2 == 0 or i == len(samples) - 1
            or _state(s) != _state(samples[i - 1])]
