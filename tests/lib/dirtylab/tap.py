# SPDX-License-Identifier: GPL-2.0-or-later
"""Results as TAP (the Test Anything Protocol), one line each, at once."""

import sys
import time


class Tap:
    def __init__(self, out=sys.stdout):
        self.out = out
        self.count = self.failed = self.skipped = 0
        self.prefix = ""
        self.began = time.monotonic()

    def _line(self, text):
        print(text, file=self.out, flush=True)

    def ok(self, good, name, detail=()):
        """Report a check; `detail` is told when it fails."""
        self.count += 1
        self._line(f"{'ok' if good else 'not ok'} {self.count} - "
                   f"{self.prefix}{name}")
        if not good:
            self.failed += 1
            if isinstance(detail, str):
                detail = detail.splitlines()
            for text in detail:
                self.note(text)
        return bool(good)

    def skip(self, name, why):
        self.count += 1
        self.skipped += 1
        why = " ".join(str(why).split())
        self._line(f"ok {self.count} - {self.prefix}{name} # SKIP {why}")

    def note(self, text):
        for line in str(text).splitlines():
            self._line("# " + line)

    def end(self):
        """Print the plan and a summary; returns the exit status."""
        self._line(f"1..{self.count}")
        passed = self.count - self.failed - self.skipped
        self.note(f"{passed} passed, {self.failed} failed, {self.skipped} "
                  f"skipped in {time.monotonic() - self.began:.0f} s")
        return 1 if self.failed else 0
