#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the Debian package that builds patches/linux into installed kernels.

The package holds patches and scripts; DKMS compiles KVM on the machine where
it is installed, from Debian's own source package.  Result: a .deb in build/.
"""

import os
import shutil

import deb
import linux_source
import linux_tree
from common import ROOT, build_lock, main, say, warn

NAME = "qemu-dirtytrack-kvm"
TEMPLATES = os.path.join(ROOT, "packaging", "dkms")
# What the package is made of; its version says when that last changed.
INPUTS = ["patches/linux", "packaging/dkms", "scripts/kvm-build",
          "scripts/kvm-sources"]


def sources(names):
    """kvm-sources, and what the patches touch besides: tar wants no name twice."""
    with open(linux_tree.SOURCES, encoding="utf-8") as lines:
        listed = [line for line in lines if line.strip() and line[0] != "#"]
    there = tuple(line.strip() for line in listed)
    listed += [f"/{name}\n" for name in names
               if not f"/{name}".startswith(there) and
               os.path.isfile(os.path.join(linux_source.PRISTINE, name))]
    return "".join(listed)


def run():
    patches = linux_tree.series()
    if not patches:
        warn("there is no patch in patches/linux: the package's modules will "
             "be Debian's own, built again")
    linux_source.ensure()
    values = {"NAME": NAME, "VERSION": deb.version(INPUTS)}
    with build_lock("dkms-deb", "kvm"):
        # That they apply is known before an operator finds out.
        names = linux_tree.apply(patches)
        shutil.rmtree(linux_tree.SCRATCH)
    root = deb.empty(os.path.join(linux_source.LINUX, "dkms"))

    def fill_in(name, target, mode):
        deb.fill_in(os.path.join(TEMPLATES, name), target, values, mode)

    where = os.path.join(root, f"usr/src/{NAME}-{values['VERSION']}")
    fill_in("dkms.conf", os.path.join(where, "dkms.conf"), 0o644)
    for name in ("build", "loadable"):
        fill_in(name, os.path.join(where, name), 0o755)
    fill_in("update", os.path.join(root, f"usr/lib/{NAME}/update"), 0o755)
    fill_in("header_postinst", os.path.join(
        root, f"etc/kernel/header_postinst.d/{NAME}"), 0o755)
    for name, mode in (("control", 0o644), ("conffiles", 0o644),
                       ("triggers", 0o644), ("postinst", 0o755),
                       ("prerm", 0o755)):
        fill_in(name, os.path.join(root, "DEBIAN", name), mode)
    shutil.copy(os.path.join(ROOT, "scripts", "kvm-build"), where)
    deb.write(os.path.join(where, "kvm-sources"), sources(names))
    os.makedirs(os.path.join(where, "patches"))
    for patch in patches:
        shutil.copy(patch, os.path.join(where, "patches"))
    documents(root)
    package = deb.pack(root, f"{NAME}-dkms", values["VERSION"], "dkms-deb.log")
    say(f"Built {os.path.relpath(package)} with {linux_tree.counted(patches)}")


def documents(root):
    where = os.path.join(root, f"usr/share/doc/{NAME}-dkms")
    guide = os.path.join(ROOT, "docs", "kernel.md")
    os.makedirs(where)
    shutil.copy(guide, where)
    deb.write(os.path.join(where, "copyright"),
          "The patches and scripts of qemu-dirtytrack.\n"
          "Copyright (c) 2026 The qemu-dirtytrack authors\n"
          "Licence: GPL-2.0-only (patches), GPL-2.0-or-later (the rest);\n"
          "see /usr/share/common-licenses/GPL-2.\n")


if __name__ == "__main__":
    main(run)
