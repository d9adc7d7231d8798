# SPDX-License-Identifier: GPL-2.0-or-later
"""Records a live migration and shows it: scripts/migration-report.

Needs Python's standard library and nothing else, and imports little of it: the
recorder also runs in the lab's emulated hosts, which are slow.
"""
