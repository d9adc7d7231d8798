# SPDX-License-Identifier: GPL-2.0-or-later
"""Takes commands, XML and scripts out of docs/operators.md."""

import re
import textwrap

from dirtylab.errors import LabError


class Manual:
    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            self.text = f.read()

    def section(self, heading):
        """What follows a heading, up to the next one."""
        found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)",
                          self.text, re.M | re.S)
        if not found:
            raise LabError(f"there is no section {heading!r}")
        return found[1]

    def blocks(self, heading):
        """The indented blocks of a section; an empty line does not end one if
        what follows is indented too."""
        found = re.findall(r"^    .*\n(?:(?:\n(?=    ))|    .*\n)*",
                           self.section(heading), re.M)
        return [textwrap.dedent(block) for block in found]

    def commands(self, heading):
        """Lines that are virsh's, in their order."""
        return [line for block in self.blocks(heading)
                for line in block.splitlines() if line.startswith("virsh ")]

    def block(self, heading, start):
        """The first block that begins so."""
        for block in self.blocks(heading):
            if block.startswith(start):
                return block
        raise LabError(f"{heading}: nothing begins with {start!r}")

    def script(self, heading, key):
        """A script in a ConfigMap."""
        block = self.block(heading, "apiVersion:")
        return textwrap.dedent(block.partition(f"{key}: |\n")[2])
