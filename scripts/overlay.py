# SPDX-License-Identifier: GPL-2.0-or-later
"""Link this repository's own files into the composed tree, one by one.

Links, not copies: an edit here is seen by the next ninja, and an editor that
follows a compiler's message ends up in the right file.
"""

import os

from common import COMPOSED, PRISTINE, ROOT, Failure

# Each directory appears in QEMU under the same name.
DIRECTORIES = ["accel", "include", "migration", "linux-headers", "qapi",
               "tests/qtest", "util"]
# Of tests/qtest only programs are QEMU's; meson.build there is our own.
SUFFIXES = {"tests/qtest": (".c", ".h")}


def ours():
    found = []
    for directory in DIRECTORIES:
        for where, below, names in os.walk(os.path.join(ROOT, directory)):
            below.sort()
            for name in sorted(names):
                if name.startswith(".") or name.endswith(("~", ".swp", ".rej")):
                    continue
                if name.endswith(SUFFIXES.get(directory, "")):
                    found.append(os.path.relpath(os.path.join(where, name), ROOT))
    return found


def link(previous):
    """Bring the links up to date; PREVIOUS are those made last time."""
    current = ours()
    for name in current:
        if os.path.lexists(os.path.join(PRISTINE, name)):
            raise Failure(f"{name} is a file of QEMU's own: it can be changed "
                          "by patches in patches/qemu, not replaced by ours")
        target = os.path.join(COMPOSED, name)
        source = os.path.relpath(os.path.join(ROOT, name),
                                 os.path.dirname(target))
        if os.path.islink(target) and os.readlink(target) == source:
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.lexists(target):
            os.unlink(target)
        os.symlink(source, target)
    for name in set(previous) - set(current):
        target = os.path.join(COMPOSED, name)
        if os.path.islink(target):
            os.unlink(target)
    return current
