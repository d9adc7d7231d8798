#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""That the structure of this repository's C code stays what it is; TAP.

  no file of C over 500 lines, no function over 60
  in accel/kvm/dirty no circle of includes, and none of calls
  no function, and no table, that nothing outside its file refers to

Calls and unused functions are read from the objects of the built QEMU.
"""

import glob
import os
import re
import subprocess
import sys

import overlay
from common import QEMU_BUILD, ROOT, Failure, main
from style import Tap, c_files

ROOMS = "accel/kvm/dirty/"
FILE_LINES = 500
FUNCTION_LINES = 60


def lines(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as source:
        return source.read().splitlines()


def too_long(text):
    """Lines that start a function of more than FUNCTION_LINES, and its size.

    In the style of this code a function's braces stand alone at the margin.
    """
    found, start = [], None
    for number, line in enumerate(text, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            if number - start + 1 > FUNCTION_LINES:
                found.append((start, number - start + 1))
            start = None
    return found


def sizes(tap):
    files, functions, count = [], [], 0
    for name in c_files():
        text = lines(name)
        count += text.count("{")
        if len(text) > FILE_LINES:
            files.append(f"{name}: {len(text)} lines")
        functions += [f"{name}:{at}: {size} lines"
                      for at, size in too_long(text)]
    tap.result(not files, f"no C file has more than {FILE_LINES} lines", files)
    tap.result(not functions and count > 500,
               f"of {count} functions none has more than {FUNCTION_LINES} "
               "lines", functions)


def stem(name):
    """A file and its header are one."""
    return os.path.splitext(name)[0]


def included(name):
    """What NAME includes of accel/kvm/dirty."""
    for line in lines(name):
        match = re.match(r'#include "([^"]+)"', line)
        if match:
            for path in (os.path.join(os.path.dirname(name), match.group(1)),
                         match.group(1)):
                if path.startswith(ROOMS) and \
                        os.path.exists(os.path.join(ROOT, path)):
                    yield stem(path)
                    break


def circles(arrows):
    """Groups of more than one from which one can get to each other.

    ARROWS is {from: {to}}; Tarjan's algorithm.
    """
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(arrows.get(node, ())):
            if target not in index:
                visit(target)
            if target in stack:
                low[node] = min(low[node], low[target])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(arrows):
        if node not in index:
            visit(node)
    return found


def report_circles(tap, arrows, what):
    found = circles(arrows)
    count = sum(len(targets) for targets in arrows.values())
    tap.result(not found and count > 30,
               f"accel/kvm/dirty: {count} {what}, no circle",
               [" <-> ".join(group) for group in found])


def includes(tap):
    arrows = {}
    for name in overlay.ours():
        if name.startswith(ROOMS) and name.endswith((".c", ".h")):
            targets = arrows.setdefault(stem(name), set())
            targets |= set(included(name)) - {stem(name)}
    report_circles(tap, arrows, "includes")


def symbols(objects, *options):
    """{object: names}"""
    listed = subprocess.run(["nm", "-A", "-P", *options, *objects],
                            stdout=subprocess.PIPE, text=True, check=True)
    found = {path: set() for path in objects}
    for line in listed.stdout.splitlines():
        path, rest = line.split(": ", 1)
        found[path].add(rest.split()[0])
    return found


def built(name):
    """The object of C file NAME, or None if this build has none of it."""
    paths = glob.glob(os.path.join(QEMU_BUILD, "*",
                                   name.replace("/", "_") + ".o"))
    return paths[0] if paths else None


def calls(tap, objects, defined, wanted):
    owner = {symbol: stem(name) for name, path in objects.items()
             for symbol in defined[path] if name.startswith(ROOMS)}
    arrows = {}
    for name, path in objects.items():
        if name.startswith(ROOMS):
            arrows[stem(name)] = {owner[symbol] for symbol in wanted[path]
                                  if symbol in owner} - {stem(name)}
    report_circles(tap, arrows, "calls from file to file")


def unused(tap, objects, defined, wanted):
    used = set().union(*wanted.values())
    left = [f"{name}: {symbol}" for name, path in objects.items()
            for symbol in sorted(defined[path] - used)]
    count = sum(len(defined[path]) for path in objects.values())
    tap.result(not left and count > 100,
               f"of {count} functions and tables that files of ours export "
               "each is used by another file", left)


def linked(tap):
    objects = {name: built(name) for name in overlay.ours()
               if name.endswith(".c") and not name.startswith("tests/")}
    objects = {name: path for name, path in objects.items() if path}
    if not objects:
        raise Failure(f"{QEMU_BUILD} has no objects: build QEMU first")
    everything = glob.glob(os.path.join(QEMU_BUILD, "*.p", "*.o"))
    defined = symbols(list(objects.values()), "--defined-only",
                      "--extern-only")
    wanted = symbols(everything, "--undefined-only")
    calls(tap, objects, defined, wanted)
    unused(tap, objects, defined, wanted)


def run():
    sys.setrecursionlimit(10000)
    tap = Tap()
    sizes(tap)
    includes(tap)
    linked(tap)
    return tap.done()


if __name__ == "__main__":
    main(run)
