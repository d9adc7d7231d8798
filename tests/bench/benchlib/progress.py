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
    """How long it has taken and, by that and by the first guess of what each
    part costs, will take."""

    def __init__(self, guess):
        self.guess = guess
        self.finished = 0.0
        self.began = time.monotonic()

    def tick(self, cost):
        self.finished += cost

    def text(self):
        spent = time.monotonic() - self.began
        left = max(0.0, self.guess - self.finished)
        if self.finished:
            left *= spent / self.finished
        return f"{duration(spent)} so far, about {duration(left)} to go"
