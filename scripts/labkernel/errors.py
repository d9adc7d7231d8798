# SPDX-License-Identifier: GPL-2.0-or-later
"""What can go wrong."""


class LabError(Exception):
    """The lab cannot do what was asked; the text says why and what to do."""
