# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernel source and headers, of the very version the lab boots.

build/linux/debs          the packages
build/linux/headers       the headers packages, unpacked, not installed
build/linux/src-pristine  the source; nothing writes to it
"""

import os
import subprocess
from pathlib import Path

from common import BUILD, LOGS, ROOT, Failure, build_lock, logged, read_json, \
    say, write_json
from labkernel import debs, errors, kernel
from labkernel.lock import locked

LINUX = os.path.join(BUILD, "linux")
PRISTINE = os.path.join(LINUX, "src-pristine")
HEADERS = os.path.join(LINUX, "headers")
STATE = os.path.join(LINUX, "source.json")


def install_packages():
    """What compiling a kernel needs, asked for only here."""
    if subprocess.run(["sh", os.path.join(ROOT, "scripts", "packages"),
                       "ensure", "kernel"], check=False).returncode:
        raise Failure("cannot build kernel modules without these packages")


def versions():
    """The lab's kernel: (release, version of the package)."""
    try:
        with locked():
            where = kernel.ensure()
    except errors.LabError as error:
        raise Failure(str(error)) from None
    return kernel.release(), (where / "version").read_text().strip()


def headers(release):
    """The directory with .config and Module.symvers of that kernel."""
    return os.path.join(HEADERS, "usr", "src", f"linux-headers-{release}")


def ensure():
    """Fetch and unpack what is missing; returns (release, version)."""
    release, version = versions()
    want = {"release": release, "version": version}
    with build_lock("kernel source", "linux"):
        if read_json(STATE) == want and os.path.isdir(PRISTINE):
            return release, version
        os.makedirs(LINUX, exist_ok=True)
        common = release.removesuffix("-amd64") + "-common"
        source = fetch(kernel.SOURCE, version)
        unpack_headers([fetch(f"linux-headers-{release}", version),
                        fetch(f"linux-headers-{common}", version)])
        unpack_source(source)
        write_json(STATE, want)
    return release, version


def fetch(package, version):
    """The package's file; a mirror keeps old versions only for a while."""
    into = Path(LINUX, "debs")
    kept = sorted(into.glob(f"{package}_{version.replace(':', '%3a')}_*.deb"))
    if kept:
        return kept[-1]
    say(f"Fetching {package} {version}")
    try:
        return debs.download(package, version, into)
    except errors.LabError:
        pass
    try:
        debs.refresh()
        return debs.download(package, version, into)
    except errors.LabError as error:
        raise Failure(
            f"{package} {version}, of the kernel that the lab boots, cannot be "
            f"fetched:\n{error}\n  If Debian has a newer kernel by now, take "
            "that one: remove build/lab/kernel\n  and build/linux, and try "
            "again") from None


def unpack_headers(files):
    subprocess.run(["rm", "-rf", HEADERS], check=True)
    for file in files:
        logged(["dpkg-deb", "-x", str(file), HEADERS], "linux-headers.log")


def unpack_source(deb):
    """Through pipes: the archive in the package is an archive again."""
    say(f"Unpacking {os.path.basename(deb)} to build/linux/src-pristine")
    new = PRISTINE + ".new"
    subprocess.run(["rm", "-rf", new, PRISTINE], check=True)
    os.makedirs(new)
    logged(["bash", "-c", "set -o pipefail; "
            'dpkg-deb --fsys-tarfile "$1" | tar -xO ./usr/src/linux-source-6.12.tar.xz'
            ' | tar -xJ -C "$2" --strip-components=1', "unpack", str(deb), new],
           "linux-source.log")
    os.rename(new, PRISTINE)


__all__ = ["HEADERS", "LINUX", "LOGS", "PRISTINE", "ensure", "headers",
           "install_packages", "versions"]
