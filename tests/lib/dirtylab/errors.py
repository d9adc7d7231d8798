# SPDX-License-Identifier: GPL-2.0-or-later
"""The ways in which an experiment can go wrong, apart from a lost page."""


class LabError(Exception):
    """The experiment could not be carried out; the text says why."""


class VmDied(LabError):
    """A QEMU process ended while it should have been running."""


class Timeout(LabError):
    """Something that was waited for did not happen in time."""


class TooSoon(LabError):
    """A migration was over before it could be cancelled or broken."""


class Unavailable(LabError):
    """This host or this QEMU cannot do what was asked: skip, not failure."""
