#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the Debian package that builds patches/linux into installed kernels.

The package holds patches and scripts; DKMS compiles KVM on the machine where
it is installed, from Debian's own source package.  Result: a .deb in build/.
"""

import os
import re
import shutil
import subprocess

import linux_source
import linux_tree
from common import BUILD, ROOT, build_lock, logged, main, say, warn

NAME = "qemu-dirtytrack-kvm"
TEMPLATES = os.path.join(ROOT, "packaging", "dkms")
# What the package is made of; its version says when that last changed.
INPUTS = ["patches/linux", "packaging/dkms", "scripts/kvm-build",
          "scripts/kvm-sources"]


def version():
    with open(os.path.join(ROOT, "meson.build"), encoding="utf-8") as source:
        base = re.search(r"version: '([^']+)'", source.read()).group(1)
    shown = subprocess.run(
        ["git", "log", "-1", "--format=%cd", "--date=format:%Y%m%d%H%M", "--",
         *INPUTS], cwd=ROOT, check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    when = shown.stdout.strip()
    return f"{base}+{when}" if when else base


def sources(names):
    """kvm-sources, and what the patches touch besides: tar wants no name twice."""
    with open(linux_tree.SOURCES, encoding="utf-8") as lines:
        listed = [line for line in lines if line.strip() and line[0] != "#"]
    there = tuple(line.strip() for line in listed)
    listed += [f"/{name}\n" for name in names
               if not f"/{name}".startswith(there) and
               os.path.isfile(os.path.join(linux_source.PRISTINE, name))]
    return "".join(listed)


def fill_in(name, target, values, mode):
    with open(os.path.join(TEMPLATES, name), encoding="utf-8") as source:
        text = source.read()
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    write(target, text, mode)


def write(target, text, mode=0o644):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "w", encoding="utf-8") as output:
        output.write(text)
    os.chmod(target, mode)


def run():
    patches = linux_tree.series()
    if not patches:
        warn("there is no patch in patches/linux: the package's modules will "
             "be Debian's own, built again")
    linux_source.ensure()
    values = {"NAME": NAME, "VERSION": version()}
    with build_lock("dkms-deb", "kvm"):
        # That they apply is known before an operator finds out.
        names = linux_tree.apply(patches)
        shutil.rmtree(linux_tree.SCRATCH)
    root = os.path.join(linux_source.LINUX, "dkms")
    shutil.rmtree(root, ignore_errors=True)
    where = os.path.join(root, f"usr/src/{NAME}-{values['VERSION']}")
    fill_in("dkms.conf", os.path.join(where, "dkms.conf"), values, 0o644)
    fill_in("build", os.path.join(where, "build"), values, 0o755)
    fill_in("update", os.path.join(root, f"usr/lib/{NAME}/update"), values,
            0o755)
    fill_in("header_postinst", os.path.join(
        root, f"etc/kernel/header_postinst.d/{NAME}"), values, 0o755)
    for name, mode in (("control", 0o644), ("conffiles", 0o644),
                       ("triggers", 0o644), ("postinst", 0o755),
                       ("prerm", 0o755)):
        fill_in(name, os.path.join(root, "DEBIAN", name), values, mode)
    shutil.copy(os.path.join(ROOT, "scripts", "kvm-build"), where)
    write(os.path.join(where, "kvm-sources"), sources(names))
    os.makedirs(os.path.join(where, "patches"))
    for patch in patches:
        shutil.copy(patch, os.path.join(where, "patches"))
    documents(root)
    deb = os.path.join(BUILD, f"{NAME}-dkms_{values['VERSION']}_amd64.deb")
    for old in os.listdir(BUILD):
        if re.fullmatch(re.escape(NAME) + r"-dkms_.*\.deb", old):
            os.unlink(os.path.join(BUILD, old))
    logged(["dpkg-deb", "--build", "--root-owner-group", "-Zxz", root, deb],
           "dkms-deb.log")
    say(f"Built {os.path.relpath(deb)} with {linux_tree.counted(patches)}")


def documents(root):
    where = os.path.join(root, f"usr/share/doc/{NAME}-dkms")
    guide = os.path.join(ROOT, "docs", "kernel.md")
    os.makedirs(where)
    shutil.copy(guide, where)
    write(os.path.join(where, "copyright"),
          "The patches and scripts of qemu-dirtytrack.\n"
          "Copyright (c) 2026 The qemu-dirtytrack authors\n"
          "Licence: GPL-2.0-only (patches), GPL-2.0-or-later (the rest);\n"
          "see /usr/share/common-licenses/GPL-2.\n")


if __name__ == "__main__":
    main(run)
