#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An editor for virsh edit: puts elements of /tmp/edits where they belong in
the domain's XML."""

import sys
import xml.etree.ElementTree as ET

PARENTS = {"kvm": "features", "emulator": "devices"}


def put(parent, element):
    """Set it if it is text; else add what it has to what is there."""
    there = parent.find(element.tag)
    if there is None:
        parent.append(element)
    elif len(element):
        there.extend(element)
    else:
        there.text = element.text


def main():
    with open("/tmp/edits", encoding="utf-8") as f:
        edits = ET.fromstring(f"<edits>{f.read()}</edits>")
    tree = ET.parse(sys.argv[1])
    for element in edits:
        put(tree.find(PARENTS[element.tag]), element)
    tree.write(sys.argv[1])


if __name__ == "__main__":
    main()
