# SPDX-License-Identifier: GPL-2.0-or-later
"""The quilt series in patches/qemu: read it, and apply it to a scratch tree."""

import hashlib
import os
import re
import shutil
import subprocess

from common import PATCHES, Failure


def names():
    """Patches of the series, in order."""
    try:
        with open(os.path.join(PATCHES, "series"), encoding="utf-8") as lines:
            stripped = [line.split("#")[0].split() for line in lines]
    except FileNotFoundError:
        return []
    return [words[0] for words in stripped if words]


def text(name):
    path = os.path.join(PATCHES, name)
    if not os.path.exists(path):
        raise Failure(f"patches/qemu/series lists {name}, which does not exist")
    with open(path, encoding="utf-8", errors="surrogateescape") as source:
        return source.read()


def files(patch):
    """The files that the text of a patch changes."""
    found = re.findall(r"^(?:---|\+\+\+) [^/\s]+/(\S+)", patch, re.M)
    return sorted({name for name in found if name != "null"})


def created(patch):
    """Those of them that the patch adds."""
    return set(re.findall(r"^--- /dev/null.*\n\+\+\+ [^/\s]+/(\S+)", patch, re.M))


def digest():
    """One hash over the series and all its patches."""
    total = hashlib.sha256()
    for name in names():
        body = text(name).encode("utf-8", "surrogateescape")
        total.update(name.encode() + b"\0" + hashlib.sha256(body).digest())
    return total.hexdigest()


def explain(output):
    """What a failed 'quilt push' says, as patch, file and hunk."""
    patch = re.findall(r"^Applying patch (?:.*/)?(\S+)$", output, re.M)
    patch = patch[-1] if patch else "(unknown)"
    lines = [f"patches/qemu/{patch} does not apply to this QEMU:"]
    current = None
    for line in output.splitlines():
        seen = re.match(r"patching file '?([^' ]+)|can't find file to patch at "
                        r"input line (\d+)|.*\|(?:---|\+\+\+) ([^\s]+)", line)
        if seen:
            current = seen.group(1) or seen.group(3) or current
        hunk = re.match(r"Hunk #(\d+) FAILED at (\d+)", line)
        if hunk:
            lines.append(f"  file {current}, hunk {hunk.group(1)} "
                         f"(near line {hunk.group(2)})")
            lines += quote(patch, current, int(hunk.group(1)))
        elif "malformed patch" in line or "can't find file" in line \
                or "not found" in line or "already exists" in line:
            lines.append("  " + line.strip())
    if len(lines) == 1:
        lines += ["  " + line for line in output.splitlines()[-12:]]
    lines.append("  Correct the patch by hand, or drop it from "
                 "patches/qemu/series; build/qemu-src was left as it was.")
    return "\n".join(lines)


def quote(patch, name, number):
    """Hunk NUMBER of file NAME, as it stands in the patch."""
    part = re.split(r"^\+\+\+ [^/\s]+/", text(patch), flags=re.M)
    for body in part[1:]:
        if body.split(None, 1)[0] == name:
            hunks = re.split(r"^(?=@@ )", body, flags=re.M)
            if number < len(hunks):
                keep = hunks[number].splitlines()
                keep = [l for l in keep if l[:1] in ("@", " ", "+", "-", "")]
                return ["    | " + line for line in keep[:20]]
    return []


def apply(pristine, scratch):
    """Make SCRATCH hold every file the series touches, patched.

    Returns the names of the touched files.  Only those are copied, so that a
    change of the series costs a second, not a new tree, and so that a patch
    that fails leaves the composed tree alone.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(scratch)
    touched, new = set(), set()
    for patch in names():
        body = text(patch)
        new |= created(body)
        for name in files(body):
            if name not in new and \
                    not os.path.exists(os.path.join(pristine, name)):
                raise Failure(f"patches/qemu/{patch} does not apply to this "
                              f"QEMU:\n  file {name} does not exist (first "
                              "hunk, and all others of that file)")
            touched.add(name)
    touched = sorted(touched)
    for name in touched:
        source = os.path.join(pristine, name)
        target = os.path.join(scratch, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.exists(source):
            shutil.copy2(source, target)
    if not names():
        return touched
    env = dict(os.environ, QUILT_PATCHES=PATCHES, QUILT_PC=".pc", LC_ALL="C")
    # No fuzz: a hook put in roughly the right place is worse than an error.
    pushed = subprocess.run(["quilt", "--quiltrc", "/dev/null", "push", "-a",
                             "--fuzz=0"], cwd=scratch, env=env, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, errors="replace",
                            check=False)
    if pushed.returncode:
        raise Failure(explain(pushed.stdout))
    return touched
