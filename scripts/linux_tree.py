# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel tree kept equal to: Debian's source + a directory of patches.

The patches are applied by 'git am', in a scratch repository that holds just
the files they touch: it costs a second, and proves that 'git am' takes them.
Only files whose content changes are replaced in the tree, so that make
compiles no more than it must.  A tree for KVM has only what KVM needs.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import linux_source
from common import ROOT, Failure, logged, read_json, say, sha256, write_json
from labkernel import patched
from linux_source import LINUX, PRISTINE

SCRATCH = os.path.join(LINUX, "am.tmp")
MAINLINE = Path(ROOT, "patches", "linux-mainline")
SERIES = Path(ROOT, "patches", "linux")
SOURCES = os.path.join(ROOT, "scripts", "kvm-sources")

GIT = ["git", "-c", "user.name=qemu-dirtytrack", "-c", "user.email=none",
       "-c", "commit.gpgsign=false", "-c", "gc.auto=0",
       "-c", "core.autocrlf=false", "-c", "init.defaultBranch=main"]
GIT_ENV = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
           "GIT_CEILING_DIRECTORIES": LINUX, "LC_ALL": "C"}


def arguments(description, what, out):
    """A parser for what is built with patches; see parsed(), carry_out()."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--patches", metavar="DIR", default=SERIES, type=Path,
                        help="patches other than those in patches/linux")
    parser.add_argument("--out", metavar="DIR", type=Path, default=out,
                        help=f"where {what} (default {os.path.relpath(out)})")
    parser.add_argument("--stamp", metavar="FILE", type=Path,
                        help="touch FILE when all is built (for meson)")
    return parser


def parsed(parser):
    """Its arguments; the usual place is for the usual patches only."""
    args = parser.parse_args()
    out = parser.get_default("out")
    if args.patches != SERIES and args.out == out:
        parser.error(f"--patches wants --out: {os.path.relpath(out, ROOT)} is "
                     "for patches/linux")
    return args


def counted(patches):
    return f"{len(patches)} patch{'' if len(patches) == 1 else 'es'}"


def series(directory=SERIES):
    """The patches to apply, in order; none is no error."""
    if not os.path.isdir(directory):
        if Path(directory) == SERIES:
            return []
        raise Failure(f"{directory}: no such directory of patches")
    return patched.series(Path(directory))


def carry_out(args, build):
    """Have BUILD(args, patches, release, version) make what is asked for, with
    all that compiling wants; release and version are of the lab's kernel."""
    patches = series(args.patches)
    linux_source.install_packages()
    build(args, patches, *linux_source.ensure())
    if args.stamp:
        args.stamp.touch()


def touched(patch):
    """Files that a patch changes, adds or removes."""
    text = patch.read_text(encoding="utf-8", errors="surrogateescape")
    return {name for pair in
            re.findall(r"^diff --git a/(\S+) b/(\S+)$", text, re.M)
            for name in pair}


def git(where, *args):
    return subprocess.run([*GIT, *args], cwd=where, text=True, check=False,
                          errors="replace", stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={"PATH": os.environ["PATH"], "HOME": where,
                               **GIT_ENV})


def apply(patches, pristine=PRISTINE, scratch=SCRATCH):
    """Make SCRATCH hold all files the patches touch, patched; returns names."""
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(scratch)
    names = sorted(set().union(*(touched(patch) for patch in patches)))
    for name in names:
        if os.path.isfile(os.path.join(pristine, name)):
            copy(os.path.join(pristine, name), os.path.join(scratch, name))
    if not patches:
        return names
    for step in (["init", "-q"], ["add", "-A", "-f"],
                 ["commit", "-q", "--allow-empty", "-m", "Debian's source"]):
        done = git(scratch, *step)
        if done.returncode:
            raise Failure(f"git {step[0]} in {scratch}: {done.stdout}")
    done = git(scratch, "am", "--keep-cr", *map(str, patches))
    if done.returncode:
        raise Failure(explain(done.stdout, patches))
    shutil.rmtree(os.path.join(scratch, ".git"))
    return names


def explain(output, patches):
    """Which patch, and what git says of where."""
    count = len(re.findall(r"^Applying: ", output, re.M))
    lines = [line for line in output.splitlines()
             if line.startswith(("error: ", "fatal: "))]
    if 0 < count <= len(patches):
        where = os.path.relpath(patches[count - 1], ROOT)
        return (f"{where} does not apply to Debian's source"
                + (f", after {count - 1} that do" if count > 1 else "")
                + ":\n" + "\n".join(f"  {line}" for line in lines))
    return "git am failed:\n" + output


def copy(source, target):
    """With a new time stamp, on purpose, and in one step."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copyfile(source, target + ".new")
    shutil.copymode(source, target + ".new")
    os.replace(target + ".new", target)


def content(directory, name):
    path = os.path.join(directory, name)
    return sha256(path) if os.path.isfile(path) else None


class Tree:
    """whole: the kernel's source, else what SOURCES lists, and EXTRA.
    home: where linux_source keeps that source."""

    def __init__(self, name, whole=False, extra=(), home=LINUX):
        self.home = home
        self.pristine = os.path.join(home, "src-pristine")
        self.scratch = os.path.join(home, "am.tmp")
        self.path = os.path.join(home, name)
        self.shown = os.path.relpath(self.path, ROOT)
        self.state = os.path.join(home, f"{name}.json")
        self.whole = whole
        self.extra = list(extra)

    def sync(self, patches):
        """Make it Debian's source with these patches."""
        base = self.base()
        now = read_json(self.state)
        if not now or now["base"] != base or not os.path.isdir(self.path):
            now = self.start_over(base)
        want = patched.digest(patches)
        if now["patches"] == want:
            self.refuse_edits(now["files"])
            return
        say(f"Applying {counted(patches)} to {self.shown}")
        names = apply(patches, self.pristine, self.scratch)
        self.refuse_edits(now["files"])
        self.replace(set(names) | set(now["files"]), set(names))
        files = {name: content(self.scratch, name) for name in names}
        write_json(self.state, {"base": base, "patches": want, "files": files})
        shutil.rmtree(self.scratch)

    def base(self):
        with open(SOURCES, "rb") as lines:
            rules = hashlib.sha256(lines.read()).hexdigest()
        source = read_json(os.path.join(self.home, "source.json"))
        return [source["version"], self.whole or [rules, *self.extra]]

    def start_over(self, base):
        say(f"Copying the source to {self.shown}")
        subprocess.run(["rm", "-rf", self.path, self.state], check=True)
        filters = []
        if not self.whole:
            filters = [f"--include={rule}" for rule in rules(self.extra)] + \
                ["--include=*/", "--exclude=*"]
        logged(["rsync", "-am", *filters, self.pristine + "/", self.path],
               "linux-copy.log")
        now = {"base": base, "patches": patched.digest([]), "files": {}}
        write_json(self.state, now)
        return now

    def refuse_edits(self, files):
        edited = [name for name, was in files.items()
                  if content(self.path, name) != was]
        if edited:
            raise Failure(
                f"files in {self.shown} were changed by hand, and would be "
                "overwritten:\n  " + "\n  ".join(edited) +
                "\n  Keep what you need (a git repository is the place to "
                f"work on patches),\n  then remove {self.shown}")

    def replace(self, names, now_touched):
        for name in sorted(names):
            source = os.path.join(self.scratch if name in now_touched
                                  else self.pristine, name)
            target = os.path.join(self.path, name)
            if not os.path.isfile(source):
                if os.path.exists(target):
                    os.unlink(target)
            elif content(self.path, name) != sha256(source):
                copy(source, target)


def rules(extra=()):
    """The lines of SOURCES, as rsync's patterns."""
    with open(SOURCES, encoding="utf-8") as lines:
        listed = [line.strip() for line in lines
                  if line.strip() and not line.startswith("#")]
    for rule in [*listed, *extra]:
        yield rule + "***" if rule.endswith("/") else rule
