# SPDX-License-Identifier: GPL-2.0-or-later
"""The next version of the DKMS package comes."""

import shutil
import subprocess
import tempfile
from pathlib import Path

NAME = "qemu-dirtytrack-kvm"
BINARY = ("kvm-sources", ".patch", ".md")   # not looked at for a version


def version(package):
    return subprocess.run(["dpkg-deb", "-f", package, "Version"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


def next_version(package, target):
    """The same package with a higher version; returns that."""
    old = version(package)
    new = old + "next"
    with tempfile.TemporaryDirectory() as temp:
        tree = Path(temp, "tree")
        subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
        (tree / f"usr/src/{NAME}-{old}").rename(tree / f"usr/src/{NAME}-{new}")
        for path in tree.rglob("*"):
            if path.is_file() and not path.name.endswith(BINARY):
                path.write_text(path.read_text().replace(old, new))
        subprocess.run(["dpkg-deb", "-b", "--root-owner-group", tree, target],
                       check=True, stdout=subprocess.DEVNULL)
    return new


def found(release):
    """Shell that tells which modules there are besides the kernel's own, and which
    modprobe takes."""
    return (f"cd /lib/modules/{release}; find updates -name 'kvm*' | sort\n"
            f"modinfo -k {release} -F version kvm\n")


def kept(tap, root, release, package):
    """The kernel's headers are gone when the package is upgraded, and come back."""
    old = version(package)
    new = next_version(package, root.path / "tmp" / "next.deb")
    headers = root.path / f"lib/modules/{release}/build"
    away = root.path / "tmp" / "build"
    shutil.move(headers, away)
    status, said = root.run("dpkg -i /tmp/next.deb\n" + found(release))
    tap.ok(status == 0 and said.count("\nupdates/") == 3 and
           said.endswith(f"\ndirtytrack-{old}\n"),
           "upgraded, a kernel without headers keeps what was built for it",
           [f"status {status}", *said.splitlines()])
    shutil.move(away, headers)
    status, said = root.run(f"/usr/lib/{NAME}/update\n" + found(release))
    tap.ok(status == 0 and said.count("\nupdates/dkms/kvm") == 3 and
           said.count("\nupdates/") == 3 and said.endswith(f"\ndirtytrack-{new}\n"),
           "and gets the new ones with its headers",
           [f"status {status}", *said.splitlines()])
