# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetch Debian's QEMU 10.0 source package and check that it is what it claims.

Three checks stack up: apt verifies the signature of the archive's index and
the hashes in it; versions we know are pinned in qemu-source.sha256; files
kept from an earlier run are checked again before every use.
"""

import os
import re
import subprocess

from common import DOWNLOADS, ROOT, Failure, logged, read_json, say, sha256, \
    warn, write_json

PINS = os.path.join(ROOT, "scripts", "qemu-source.sha256")
APT = os.path.join(ROOT, "scripts", "private-apt")
SERIES = "10.0."
# What the archive's signed index said of the files, kept for later runs.
INDEX = os.path.join(DOWNLOADS, "qemu-index.json")


def version_key(version):
    return [int(part) for part in re.findall(r"\d+", version)]


def pinned():
    with open(PINS, encoding="utf-8") as lines:
        return dict(reversed(line.split()) for line in lines if line.strip())


def offered():
    """The newest 10.0.x that the archive has: (version, {file: sha256})."""
    shown = subprocess.run([APT, "cache", "showsrc", "--only-source", "qemu"],
                           stdout=subprocess.PIPE, check=False, text=True)
    found = {}
    for stanza in shown.stdout.split("\n\n"):
        version = re.search(r"^Version: (.*)$", stanza, re.M)
        sums = re.search(r"^Checksums-Sha256:\s*\n((?: .*\n?)+)", stanza, re.M)
        if version and sums:
            files = [line.split() for line in sums.group(1).splitlines()]
            found[version.group(1)] = {f[2]: f[0] for f in files}
    right = [v for v in found if v.split(":")[-1].startswith(SERIES)]
    if not right:
        raise Failure(
            f"Debian's archive offers no QEMU {SERIES}x source package, but "
            f"{', '.join(found) or 'none at all'}.\n"
            "  Use a tree you have: ./configure --qemu-src=DIR")
    newest = max(right, key=version_key)
    return newest, found[newest]


def download():
    os.makedirs(DOWNLOADS, exist_ok=True)
    error = None
    # Mirrors replace point releases: the second try uses fresh lists.
    for attempt in (1, 2):
        if attempt == 2:
            logged([APT, "refresh"], "apt-refresh.log")
        version, files = offered()
        say(f"Fetching QEMU {version} (source package from Debian)")
        try:
            logged([APT, "get", "source", "--only-source", "--download-only",
                    f"qemu={version}"], "fetch.log", cwd=DOWNLOADS)
        except Failure as failure:
            error = failure
            continue
        write_json(INDEX, {"version": version, "files": files})
        return {"version": version, "files": files}
    raise error


def verify(index):
    """Refuse files that are not the known ones; say so when they are new."""
    pins = pinned()
    known = all(name in pins for name in index["files"])
    for name, signed in sorted(index["files"].items()):
        path = os.path.join(DOWNLOADS, name)
        wanted = pins.get(name, signed)
        actual = sha256(path)
        if actual != wanted:
            raise Failure(
                f"REFUSED: {name} is not the file it should be\n"
                f"  sha256 {actual}\n  wanted {wanted} ("
                f"{'pinned in scripts/qemu-source.sha256' if name in pins else 'from the signed package index'})\n"
                f"  To fetch it again, first remove {path}")
    if not known:
        versions = [name[len("qemu_"):-len(".dsc")] for name in sorted(pins)
                    if name.endswith(".dsc")]
        warn(f"QEMU {index['version']} is none of the versions this project "
             f"knows\n  ({', '.join(versions)}). Its files match Debian's signed "
             "index, but no test\n  has seen it, and the patches may not fit.")


def newer(index):
    """Whether the archive has a newer 10.0.x than INDEX; no if it is silent."""
    try:
        logged([APT, "refresh"], "apt-refresh.log")
        version, _ = offered()
    except Failure as failure:
        warn(f"cannot ask Debian's archive for a newer QEMU {SERIES}x; "
             f"staying with {index['version']}\n  ({failure})")
        return False
    return version_key(version) > version_key(index["version"])


def fetch(update=True, before_update=lambda: None):
    """Returns (version, path of the .dsc), fetched if need be, and verified.

    Security updates arrive as newer point releases: with UPDATE the newest is
    taken, without it the one that is there.  BEFORE_UPDATE may raise a Failure,
    while the one that is there still is the one to stay with.
    """
    index = read_json(INDEX)
    if not index or not all(os.path.exists(os.path.join(DOWNLOADS, name))
                            for name in index["files"]):
        index = download()
    elif update and newer(index):
        before_update()
        index = download()
    verify(index)
    dsc = [name for name in index["files"] if name.endswith(".dsc")]
    if len(dsc) != 1:
        raise Failure(f"{INDEX} names {len(dsc)} .dsc files; remove it")
    return index["version"], os.path.join(DOWNLOADS, dsc[0])


def extract(dsc, target):
    """Unpack with Debian's patches applied."""
    say(f"Unpacking {os.path.basename(dsc)} and applying Debian's patches")
    temporary = target + ".new"
    subprocess.run(["rm", "-rf", temporary], check=True)
    # The signature was checked by way of the index; the hashes just now.
    logged(["dpkg-source", "--no-check", "--no-copy", "--extract", dsc,
            temporary],
           "extract.log")
    # Debian's patches are part of the base: quilt must see only ours.
    subprocess.run(["rm", "-rf", os.path.join(temporary, ".pc")], check=True)
    subprocess.run(["rm", "-rf", target], check=True)
    os.rename(temporary, target)
