# SPDX-License-Identifier: GPL-2.0-or-later
"""What can go wrong, and with which exit status."""

from labkernel.errors import LabError    # noqa: F401

EXIT_TIMEOUT = 124      # the command took too long
EXIT_LAB = 125          # the lab failed, not the command
EXIT_USAGE = 2
