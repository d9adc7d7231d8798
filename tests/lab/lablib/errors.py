# SPDX-License-Identifier: GPL-2.0-or-later
"""What can go wrong, and with which exit status."""

EXIT_TIMEOUT = 124      # the command took too long
EXIT_LAB = 125          # the lab failed, not the command
EXIT_USAGE = 2


class LabError(Exception):
    """The lab cannot do what was asked; the text says why and what to do."""
