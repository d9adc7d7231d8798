# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benchmark cannot go on with."""


class BenchError(Exception):
    """The text says what is wrong and what to do."""
