# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are."""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
TOP = HERE.parents[1]
BUILD = Path(os.environ.get("DIRTYTRACK_BUILD") or TOP / "build").resolve()
RESULTS = BUILD / "bench"
LAB_RUN = TOP / "tests/lab/run"
INLAB = HERE / "inlab"
NATIVE = BUILD / "tests/bench/native"
# Made by scripts/kvm_modules.py and scripts/kvm_selftests.py.
KVM = BUILD / "lab/kvm-patched/kvm.ko"
SELFTESTS = BUILD / "lab/kvm-selftests"
QEMU = {
    "ours": BUILD / "qemu/qemu-system-x86_64",
    "upstream": BUILD / "upstream/qemu-system-x86_64",
}
