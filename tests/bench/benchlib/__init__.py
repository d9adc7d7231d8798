# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark's side on this machine: plans, runs the lab, reports.

What measures, in the lab, is in ../inlab.
"""
