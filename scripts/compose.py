#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep build/qemu-src equal to: QEMU's source + patches/qemu + our files.

Files whose content does not change keep their time stamps, so that ninja
rebuilds only what a changed patch really changes.  Edits made directly in
build/qemu-src are never overwritten silently.
"""

import os
import shutil
import subprocess
import sys

import overlay
import series
from common import BUILD, COMPOSED, PRISTINE, Failure, build_lock, main, \
    read_json, say, sha256, write_json

STATE = os.path.join(BUILD, "compose.json")
SCRATCH = os.path.join(BUILD, "compose.tmp")


def state():
    return read_json(STATE, {"series": None, "base": None, "files": {},
                             "links": []})


def content(directory, name):
    """Hash of a file, None where there is none."""
    path = os.path.join(directory, name)
    return sha256(path) if os.path.isfile(path) else None


def edited(old):
    """Patched files that were changed since they were composed."""
    return [name for name, was in old["files"].items()
            if content(COMPOSED, name) != was]


def check_edits(discard):
    """Refuse to replace the whole tree while there are edits in it."""
    lost = edited(state()) if os.path.isdir(COMPOSED) and not discard else []
    if lost:
        raise Failure(
            "another QEMU source is to replace build/qemu-src, where these "
            "files have edits of yours:\n  " + "\n  ".join(lost) +
            "\n  Keep them with scripts/refresh-patches, drop them with "
            "./configure --discard-edits,\n  or stay with the source that is "
            "there: ./configure --no-update, or --qemu-src as before")


def start_over(base):
    say("Copying QEMU's source to build/qemu-src")
    shutil.rmtree(COMPOSED, ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", PRISTINE, COMPOSED],
                   check=True)
    fresh = {"series": None, "base": base, "files": {}, "links": []}
    write_json(STATE, fresh)
    return fresh


def repatch(old, discard):
    """Apply the series anew; returns {file: hash} of what it touches."""
    touched = series.apply(PRISTINE, SCRATCH)
    source = {name: os.path.join(SCRATCH, name) for name in touched}
    for name in old["files"]:
        source.setdefault(name, os.path.join(PRISTINE, name))

    replace, lost = [], []
    for name, path in source.items():
        wanted = sha256(path) if os.path.isfile(path) else None
        current = content(COMPOSED, name)
        was = old["files"].get(name, content(PRISTINE, name))
        if current == wanted:
            continue
        if current != was and not discard:
            # Edited by hand: fine as long as the series did not change it too.
            if wanted != was:
                lost.append(name)
            continue
        replace.append((name, path, wanted))
    if lost:
        raise Failure(
            "these files have edits of yours in build/qemu-src, and the patches "
            "changed them too:\n  " + "\n  ".join(lost) +
            "\n  Keep the edits with scripts/refresh-patches (before changing "
            "the patches),\n  or drop them with ./configure --discard-edits")

    for name, path, wanted in replace:
        target = os.path.join(COMPOSED, name)
        if wanted is None:
            os.unlink(target)
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(path, target + ".new")   # a new time stamp, on purpose
        shutil.copymode(path, target + ".new")
        os.replace(target + ".new", target)

    quilt = os.path.join(COMPOSED, ".pc")
    shutil.rmtree(quilt, ignore_errors=True)
    if os.path.isdir(os.path.join(SCRATCH, ".pc")):
        shutil.move(os.path.join(SCRATCH, ".pc"), quilt)
    result = {name: content(SCRATCH, name) for name in touched}
    shutil.rmtree(SCRATCH)
    return result


def compose(base=None, discard=False):
    """BASE identifies the unpatched source; None means it did not change."""
    if not os.path.isdir(PRISTINE):
        raise Failure("there is no QEMU source yet: run ./configure")
    now = state()
    if not os.path.isdir(COMPOSED) or (base and base != now["base"]):
        now = start_over(base or now["base"])
    digest = series.digest()
    if digest != now["series"] or discard:
        count = len(series.names())
        say(f"Applying patches/qemu ({count} patch{'' if count == 1 else 'es'})")
        now["files"] = repatch(now, discard)
        now["series"] = digest
        write_json(STATE, now)
    links = overlay.link(now["links"])
    if links != now["links"]:
        say(f"Linked {len(links)} files of ours into build/qemu-src")
        now["links"] = links
        write_json(STATE, now)


def run():
    with build_lock("compose"):
        compose(discard="--discard-edits" in sys.argv[1:])


if __name__ == "__main__":
    main(run)
