# SPDX-License-Identifier: GPL-2.0-or-later
"""The QMP client of scripts/migration_report, for a QEMU that this process has
started: it knows when that dies, and tells why."""

import time

from migration_report import errors, qmp

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
        super().__init__(path, timeout, appears=timeout)

    def closed(self):
        # The process may take a moment to become a zombie.
        for _ in range(50):
            self.check()
            time.sleep(0.02)
        super().closed()
