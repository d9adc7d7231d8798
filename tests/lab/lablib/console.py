# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads L1's console: keeps the end of it, recognises a dead kernel."""

import re
import sys
from collections import deque

# What only a kernel that is done for says: L1 runs with oops=panic and
# softlockup_panic=1.  A mere "general protection fault" may be a program's.
FATAL = re.compile(
    r'Kernel panic - not syncing|Oops: |Oops\[|kernel BUG at|BUG: unable to handle'
    r'|BUG: soft lockup|hard LOCKUP|Internal error: ')
# What may also come of a busy machine: shown, but not held against L1.
NOTEWORTHY = re.compile(
    r'WARNING: (?:CPU|possible)|BUG: |detected stall|blocked for more than|Out of memory')


class Console:
    KEEP = 60

    def __init__(self, echo):
        self.echo = echo
        self.last = deque(maxlen=self.KEEP)
        self.partial = ''
        self.fatal = None

    def feed(self, data):
        text = self.partial + data.decode(errors='replace')
        *lines, self.partial = text.split('\n')
        for line in lines:
            self._line(line.rstrip('\r'))

    def _line(self, line):
        self.last.append(line)
        if self.echo:
            print(f'L1| {line}', file=sys.stderr, flush=True)
        if self.fatal is None and FATAL.search(line):
            self.fatal = line
        elif not self.echo and NOTEWORTHY.search(line):
            print(f'lab: L1 kernel: {line}', file=sys.stderr, flush=True)

    def tail(self):
        lines = [*self.last, self.partial] if self.partial else list(self.last)
        return '\n'.join(f'  L1| {line}' for line in lines) or '  (the console is empty)'
