# SPDX-License-Identifier: GPL-2.0-or-later
"""How long to wait for what should happen soon: LAB_PATIENCE times as long as
on an idle machine."""

import os

FACTOR = float(os.environ.get("LAB_PATIENCE", "1"))


def seconds(number):
    return number * FACTOR
