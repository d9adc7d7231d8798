# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/migration-report consists of, for those who install it."""

import os
import shutil

from common import ROOT

PROGRAM = "migration-report"
PACKAGE = "migration_report"


def copy(where):
    """To a directory of its own, made if need be."""
    scripts = os.path.join(ROOT, "scripts")
    shutil.copytree(os.path.join(scripts, PACKAGE),
                    os.path.join(where, PACKAGE), dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(os.path.join(scripts, PROGRAM), where)
