# SPDX-License-Identifier: GPL-2.0-or-later
"""Text for people: numbers, a table, a line that shows progress."""

import sys

# For those who lay out text with this module.
from migration_report.text import count, short


def mib(n):
    return f"{n / (1 << 20):.0f} MiB"


def widths(lines):
    """Of each column, what its widest cell takes."""
    return [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]


def columns(lines):
    """Cells as lines of text, as wide as they must be; the first to the
    left, the others to the right."""
    width = widths(lines)
    return ["  ".join([line[0].ljust(width[0])]
                      + [c.rjust(w) for c, w in zip(line[1:], width[1:])])
            .rstrip() for line in lines]


def table(header, rows):
    """Columns under a rule as wide as they are."""
    lines = [header] + rows
    rule = "  ".join("-" * w for w in widths(lines))
    text = columns(lines)
    return "\n".join([text[0], rule] + text[1:])


class Live:
    """A line that is rewritten on a terminal, and now and then a line of its
    own elsewhere."""

    def __init__(self, tty=None, every=1.0, out=sys.stdout):
        self.tty = out.isatty() if tty is None else tty
        self.every = every
        self.out = out
        self._last = None
        self._open = False

    def update(self, seconds, text):
        if self.tty:
            self.out.write("\r\x1b[K" + text)
            self._open = True
            self.out.flush()
        elif self._last is None or seconds - self._last >= self.every:
            self._last = seconds
            print(text, file=self.out, flush=True)

    def done(self):
        """Leave the last state on the screen."""
        if self._open:
            self.out.write("\n")
            self.out.flush()
        self._open = False
        self._last = None
