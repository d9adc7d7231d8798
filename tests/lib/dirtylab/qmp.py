# SPDX-License-Identifier: GPL-2.0-or-later
"""The QMP client of scripts/migration_report, for a QEMU that this process has
started: it knows when that dies, and tells why."""

import time

from migration_report import errors, qmp

from . import patience
from .errors import LabError, Timeout


class QmpError(errors.Refused, LabError):
    """QEMU refused a command."""


class Qmp(qmp.Qmp):
    gone = LabError
    late = Timeout
    refused = QmpError

    def __init__(self, path, alive, timeout=30.0):
        """`alive` is called while waiting; it raises when QEMU has died."""
        self.check = alive
        timeout = patience.seconds(timeout)
        super().__init__(path, timeout, appears=timeout)

    def wait_event(self, name, timeout, match=None):
        return super().wait_event(name, patience.seconds(timeout), match)

    def closed(self):
        # The process may take a moment to become a zombie.
        for _ in range(50):
            self.check()
            time.sleep(0.02)
        super().closed()
