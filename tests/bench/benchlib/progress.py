# SPDX-License-Identifier: GPL-2.0-or-later
"""What is said while it is measured."""

import time


def duration(seconds):
    """75 -> "1:15 min"; more than an hour in hours."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02} min"
    return f"{seconds // 3600}:{seconds % 3600 // 60:02} h"


class Clock:
    """How long it has taken and, by that, will take."""

    def __init__(self, jobs, seconds):
        self.left = jobs
        self.guess = seconds
        self.finished = 0
        self.began = time.monotonic()

    def tick(self):
        self.left -= 1
        self.finished += 1

    def text(self):
        spent = time.monotonic() - self.began
        each = spent / self.finished if self.finished else self.guess
        return (f"{duration(spent)} so far, about "
                f"{duration(each * self.left)} to go")
