# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel that the lab boots, and what is built to go with it.

For scripts that build KVM, and for the lab (tests/lab) that loads it.
"""
