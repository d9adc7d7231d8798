# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes files so that readers see the old one or the new one, whole."""

import contextlib
import os
import tempfile

from .errors import ReportError


def replace(path, text):
    """Write `text` to `path` in one step, readable for all as usual."""
    where, name = os.path.split(os.path.abspath(path))
    mask = os.umask(0)
    os.umask(mask)
    temporary = None
    try:
        fd, temporary = tempfile.mkstemp(dir=where, prefix=f".{name}.")
        with open(fd, "w", encoding="utf-8") as output:
            os.fchmod(fd, 0o666 & ~mask)
            output.write(text)
        os.replace(temporary, path)
    except OSError as err:
        if temporary:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        raise ReportError(f"{path}: cannot be written: {err.strerror}") from err
