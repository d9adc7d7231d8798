# SPDX-License-Identifier: GPL-2.0-or-later
"""Start guests, migrate them and check, page by page, that nothing was lost.

The modules here run where the virtual machines run: inside the lab, or on a
host that has KVM.  They need python3's standard library and the package
migration_report, which is in scripts.

In the lab both are found.  On a host with KVM:

  PYTHONPATH=tests/lib:scripts python3 tests/scenarios/oracle.py --qemu PATH \\
      --guest DIR
"""
