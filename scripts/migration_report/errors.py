# SPDX-License-Identifier: GPL-2.0-or-later
"""What can go wrong, each told in one line."""


class ReportError(Exception):
    """Something the user must know about; the text says what to do."""


class Gone(ReportError):
    """QEMU's monitor cannot be reached, or not any more."""


class NoAnswer(ReportError):
    """QEMU's monitor takes too long."""


class Refused(ReportError):
    """QEMU refused a command."""

    def __init__(self, command, error):
        self.command = command
        self.error_class = error.get("class", "")
        self.desc = error.get("desc", str(error))
        super().__init__(f"{command}: {self.desc}")
