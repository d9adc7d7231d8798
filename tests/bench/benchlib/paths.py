# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are."""

from pathlib import Path

from labkernel.paths import BUILD, PATCHED_KVM, SELFTESTS, TOP  # noqa: F401

HERE = Path(__file__).resolve().parents[1]
RESULTS = BUILD / "bench"
LAB_RUN = TOP / "tests/lab/run"
INLAB = HERE / "inlab"
NATIVE = BUILD / "tests/bench/native"
KVM = PATCHED_KVM / "kvm.ko"
QEMU = {
    "ours": BUILD / "qemu/qemu-system-x86_64",
    "upstream": BUILD / "upstream/qemu-system-x86_64",
}
