# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernel source and headers, of the very version the lab boots.

build/linux/debs          the packages
build/linux/headers       the headers packages, unpacked, not installed
build/linux/src-pristine  the source; nothing writes to it

The same for the newest kernel, of tests/lab/run --linux newest, in
build/linux-newest.
"""

import os
import re
import subprocess
from pathlib import Path

from common import BUILD, LOGS, ROOT, Failure, build_lock, logged, read_json, \
    say, write_json
from labkernel import debs, errors, kernel, newest
from labkernel.lock import locked

LINUX = os.path.join(BUILD, "linux")
PRISTINE = os.path.join(LINUX, "src-pristine")
NEWEST = os.path.join(BUILD, "linux-newest")


def install_packages():
    """What compiling a kernel needs, asked for only here."""
    if subprocess.run(["sh", os.path.join(ROOT, "scripts", "packages"),
                       "ensure", "kernel"], check=False).returncode:
        raise Failure("cannot build kernel modules without these packages")


def versions(fetch_kernel=kernel.ensure):
    """(release, version of the package) of the lab's kernel, or of the one that
    FETCH_KERNEL returns the directory of."""
    try:
        with locked():
            where = fetch_kernel()
    except errors.LabError as error:
        raise Failure(str(error)) from None
    return tuple((where / name).read_text().strip()
                 for name in ("release", "version"))


def headers(release, home=LINUX):
    """The directory with .config and Module.symvers of that kernel."""
    return os.path.join(home, "headers", "usr", "src",
                        f"linux-headers-{release}")


def ensure():
    """Fetch and unpack what is missing; returns (release, version)."""
    release, version = versions()
    unpack(LINUX, kernel.SOURCE, release, version)
    return release, version


def ensure_newest():
    """The same for the newest kernel."""
    release, version = versions(newest.ensure)
    series = re.match(r"\d+\.\d+", release)[0]
    unpack(NEWEST, f"linux-source-{series}", release, version)
    return release, version


def unpack(home, name, release, version):
    want = {"release": release, "version": version}
    state = os.path.join(home, "source.json")
    pristine = os.path.join(home, "src-pristine")
    with build_lock("kernel source", "linux"):
        if read_json(state) == want and os.path.isdir(pristine):
            return
        os.makedirs(home, exist_ok=True)
        common = release.removesuffix("-amd64") + "-common"
        source = fetch(home, name, version)
        unpack_headers(home, [
            fetch(home, f"linux-headers-{release}", version),
            fetch(home, f"linux-headers-{common}", version)])
        unpack_source(pristine, name, source)
        write_json(state, want)


def fetch(home, package, version):
    """The package's file; a mirror keeps old versions only for a while."""
    into = Path(home, "debs")
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
            "that one: remove build/lab/"
            f"{'kernel' if home == LINUX else 'kernel-newest'}\n  and "
            f"{os.path.relpath(home, ROOT)}, and try again") from None


def unpack_headers(home, files):
    into = os.path.join(home, "headers")
    subprocess.run(["rm", "-rf", into], check=True)
    for file in files:
        logged(["dpkg-deb", "-x", str(file), into], "linux-headers.log")


def unpack_source(pristine, name, deb):
    """Through pipes: the archive in the package is an archive again."""
    say(f"Unpacking {os.path.basename(deb)} to "
        f"{os.path.relpath(pristine, ROOT)}")
    new = pristine + ".new"
    subprocess.run(["rm", "-rf", new, pristine], check=True)
    os.makedirs(new)
    logged(["bash", "-c", "set -o pipefail; "
            'dpkg-deb --fsys-tarfile "$1" | tar -xO "./usr/src/$3.tar.xz"'
            ' | tar -xJ -C "$2" --strip-components=1', "unpack", str(deb), new,
            name], "linux-source.log")
    os.rename(new, pristine)


__all__ = ["LINUX", "LOGS", "NEWEST", "PRISTINE", "ensure", "ensure_newest",
           "headers", "install_packages", "versions"]
