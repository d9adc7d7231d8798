# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab: runs commands on a KVM host, an emulated one where need be."""
