#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Style and shape of this repository, as a TAP test.

  style.py files     licence lines, and QEMU's checkpatch.pl on every C file of
                     ours
  style.py patches   ... and on every patch in patches/qemu
  style.py linux     the kernel's, strict, on every patch in patches/linux
  style.py shape     the size of patches/qemu, trace events and their
                     documentation, README's tables of files, and symbols of
                     the built QEMU
"""

import fnmatch
import os
import re
import subprocess
import sys

import linux_source
import linux_tree
import overlay
import series
from common import COMPOSED, QEMU_BUILD, ROOT, main, version

# Where C files of ours live that QEMU does not build.
OTHERS = ["tests/unit", "tests/lab", "tests/scenarios", "tests/bench"]

# What checkpatch says that does not fit here: (where, what), and why.
EXCEPTIONS = [
    # QEMU's MAINTAINERS knows nothing of this project's files.
    ("patches/qemu/",
     "added, moved or deleted file(s), does MAINTAINERS need updating?"),
    # Small programs of the lab's machines stand alone, without QEMU's library.
    ("tests/lab/", "consider using qemu_strtou"),
    # Memory that others write under one's feet is their subject.
    ("tests/lab/", "Use of volatile is usually wrong"),
    # It takes a structure's aligned member for a declaration.
    ("tests/lab/", "externs should be avoided in .c files"),
    # Nor does the kernel's.
    ("patches/linux",
     "added, moved or deleted file(s), does MAINTAINERS need updating?"),
    # It looks for commits of mainline in this repository.
    ("patches/linux-mainline/", "Unknown commit id"),
]

# Upstream's reaper has it; ours is not kicked.
UNUSED_EVENTS = {"kvm_dirty_ring_reaper_kick"}

# Files without a licence line of their own, and why.
UNLICENSED = {
    "*.md": "prose; COPYING goes for it",
    "COPYING": "the licence itself",
    "patches/qemu/*.patch": "QEMU's files have theirs",
    "patches/linux/*.patch": "the README there says it for all",
    "patches/linux-mainline/*.patch": "the README there says it for all",
    "patches/linux/cover-letter.txt": "a mail",
    "packaging/dkms/conffiles": "a list of files, without comments",
    "packaging/dkms/control": "goes into the package, where # is no comment",
    "packaging/qemu/changelog": "Debian's format, without comments",
    "packaging/qemu/copyright": "states the licences",
    "scripts/qemu-source.sha256": "sums, for sha256sum",
}
# A licence line is one of the first so many.
LICENCE_LINES = 10

# Below this many added lines the patches stay hooks: code goes into files.
PATCH_LINES = 400


class Tap:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def result(self, good, name, details=()):
        self.count += 1
        self.failed += not good
        for line in details:
            print(f"# {line}")
        print(f"{'ok' if good else 'not ok'} {self.count} {name}", flush=True)

    def done(self):
        print(f"1..{self.count}")
        return 1 if self.failed else 0


def expected(name, block):
    return any(name.startswith(where) and what in block.splitlines()[0]
               for where, what in EXCEPTIONS)


def complaints(name, *options, tree=COMPOSED):
    """What checkpatch of TREE says of file NAME, without the exceptions."""
    # Seen from our root: it has other rules for what is in tests/.  Patches
    # are piped: the kernel's takes what is in git for a source file.
    script = os.path.join(tree, "scripts/checkpatch.pl")
    with open(os.path.join(ROOT, name), encoding="utf-8") as text:
        done = subprocess.run(["perl", script, "--no-tree", "--no-summary",
                               *options, name if "-f" in options else "-"],
                              cwd=ROOT, check=False, text=True, stdin=text,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              errors="replace")
    blocks = re.split(r"^(?=(?:ERROR|WARNING|CHECK): )", done.stdout,
                      flags=re.M)
    found = [block for block in blocks
             if block.startswith(("ERROR: ", "WARNING: ", "CHECK: "))
             and not expected(name, block)]
    if done.returncode and len(blocks) == 1:
        found.append(f"ERROR: checkpatch.pl failed: {done.stdout}")
    # A block ends at an empty line; after the last one comes advice.
    return [line for block in found
            for line in block.split("\n\n")[0].splitlines()]


def c_files():
    found = [name for name in overlay.ours()
             if name.endswith((".c", ".h")) and
             not name.startswith("linux-headers/")]
    for directory in OTHERS:
        for where, _, names in os.walk(os.path.join(ROOT, directory)):
            found += [os.path.relpath(os.path.join(where, name), ROOT)
                      for name in names if name.endswith((".c", ".h"))]
    return sorted(found)


def tracked():
    """What git has of this repository."""
    # Whoever runs this need not own the files.
    listed = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z"],
                            cwd=ROOT, stdout=subprocess.PIPE, text=True,
                            check=False).stdout.split("\0")
    # What is deleted and not committed yet is listed, too.
    return [name for name in listed
            if name and os.path.lexists(os.path.join(ROOT, name))]


def has_licence(name):
    with open(os.path.join(ROOT, name), encoding="utf-8",
              errors="replace") as text:
        return any(re.search(r"(^[^A-Za-z]*|<!-- )SPDX-License-Identifier: \S",
                             line)
                   for line, _ in zip(text, range(LICENCE_LINES)))


def licensed(tap):
    """Every file that can say so says what its licence is."""
    names = tracked()
    without = [name for name in names if not has_licence(name)]
    wrong = [f"{name} has no SPDX-License-Identifier" for name in without
             if not any(fnmatch.fnmatch(name, what) for what in UNLICENSED)]
    wrong += [f"{what} is an exception for nothing" for what in UNLICENSED
              if not fnmatch.filter(without, what)]
    tap.result(names and not wrong, f"{len(names)} files have licence lines",
               wrong)


def files(tap):
    licensed(tap)
    for name in c_files():
        found = complaints(name, "-f")
        tap.result(not found, name, found)


def patches(tap):
    for name in series.names():
        path = f"patches/qemu/{name}"
        # The sign-off is in the commits of this repository.
        found = complaints(path, "--no-signoff")
        tap.result(not found, path, found)


def linux(tap):
    for patch in (*linux_tree.series(),
                  *linux_tree.series(linux_tree.MAINLINE)):
        name = os.path.relpath(patch, ROOT)
        found = complaints(name, "--strict", tree=linux_source.PRISTINE)
        tap.result(not found, name, found)


def trace_events():
    """Those of dirty page tracking, by name."""
    found = set()
    for where in ("accel/kvm", "accel/kvm/dirty", "migration"):
        with open(os.path.join(COMPOSED, where, "trace-events"),
                  encoding="utf-8") as lines:
            found |= set(re.findall(
                r"^(kvm_(?:clear_)?dirty\w+|dirty_watch\w+)\(", lines.read(),
                re.M))
    return found


def documented(tap):
    """Trace events are in docs/observing.md, and no others."""
    with open(os.path.join(ROOT, "docs/observing.md"), encoding="utf-8") as f:
        tables = "".join(line for line in f if line.startswith("| `"))
    named = set(re.findall(r"`(kvm_(?:clear_)?dirty\w+|dirty_watch\w+)`",
                           tables))
    wrong = named ^ (trace_events() - UNUSED_EVENTS)
    tap.result(not wrong, "docs/observing.md names all trace events",
               sorted(wrong))


def in_tables():
    """The first columns of README's tables of files.

    Yields (directory, cell); a heading that names a directory goes for the
    tables below it.
    """
    directory, table = "", False
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("#"):
                heading = re.match(r"#+ `(.+/)`", line)
                directory = heading[1] if heading else ""
            if not line.startswith("|"):
                table = False
            elif re.match(r"\| (file|directory) \|", line):
                table = True
            elif table and not line.startswith("|--"):
                yield directory, line.split("|")[1]


def cell_paths(directory, cell):
    """The paths that a cell names, whether or not they exist.

    A name is in the DIRECTORY, or else beside the one before it.
    """
    beside = directory
    for name in re.findall(r"`([^`]+)`", cell):
        for each in ([name[:-4] + "c", name[:-4] + "h"]
                     if name.endswith(".[ch]") else [name]):
            path = directory + each
            if not os.path.exists(os.path.join(ROOT, path)):
                path = os.path.join(beside, each)
            yield path
        beside = os.path.dirname(path.rstrip("/"))


def tables(tap):
    """README says of every file what it is for, and of no others."""
    names = tracked()
    paths = [path for directory, cell in in_tables()
             for path in cell_paths(directory, cell)]
    gone = [f"{path} is in README and does not exist" for path in paths
            if not os.path.exists(os.path.join(ROOT, path))]
    directories = tuple(path for path in paths if path.endswith("/"))
    missing = [f"{name} is in no row of README" for name in names
               if name not in paths and not name.startswith(directories)]
    tap.result(names and not gone, f"README's {len(paths)} paths exist", gone)
    tap.result(names and not missing, f"README has all {len(names)} files",
               missing)


def shape(tap):
    added = {name: len(re.findall(r"^\+(?!\+\+ )", series.text(name), re.M))
             for name in series.names()}
    total = sum(added.values())
    documented(tap)
    tables(tap)
    tap.result(total < PATCH_LINES,
               f"patches/qemu adds {total} lines, of less than {PATCH_LINES}",
               [f"{count:4} {name}" for name, count in added.items()])

    binary = os.path.join(QEMU_BUILD, "qemu-system-x86_64")
    listed = subprocess.run(["nm", binary], stdout=subprocess.PIPE, text=True,
                            check=False)
    symbols = [line.split()[-1] for line in listed.stdout.splitlines()]
    left = [name for name in symbols
            if re.match(r"kvm_dirty_ring_reap|kvm_dirty_ring_reset", name)]
    # A stripped binary has no symbols at all and would prove nothing.
    tap.result("kvm_init_vcpu" in symbols and not left,
               "upstream's ring code is not in the built QEMU",
               left or ([] if symbols else [f"{binary} has no symbols"]))
    named(tap, binary)


def named(tap, binary):
    """--version names this project, for whoever reads a bug report."""
    said = subprocess.run([binary, "--version"], stdout=subprocess.PIPE,
                          text=True, check=False).stdout.splitlines()
    name = f"qemu-dirtytrack {version()}"
    tap.result(bool(said) and name in said[0], f"--version names {name}", said)


def run():
    tap = Tap()
    {"files": files, "patches": patches, "linux": linux,
     "shape": shape}[sys.argv[1]](tap)
    return tap.done()


if __name__ == "__main__":
    main(run)
